package import RaftCore

/// Whose data directory it is. Written once, by `metad format`.
///
/// On disk it is text, one field a line, with a CRC-32 of all lines before the last:
///
/// ```
/// streambus-metadata data directory
/// format 1
/// cluster 5L6g3nShT-eMCtK--X86sw
/// node 1
/// disk 3f2504e04f8911d39a0c0305e82c3301
/// checksum 0f6c9a11
/// ```
package struct NodeIdentity: Hashable, Sendable {
    /// The version of the layout of the data directory.
    package var formatVersion: UInt32
    package var clusterID: String
    package var nodeID: NodeID
    /// Random; a formatted-anew directory of the same node is another voter (KIP-853).
    package var diskID: DiskID

    package init(formatVersion: UInt32 = Self.currentVersion, clusterID: String, nodeID: NodeID, diskID: DiskID) {
        self.formatVersion = formatVersion
        self.clusterID = clusterID
        self.nodeID = nodeID
        self.diskID = diskID
    }

    package static let currentVersion: UInt32 = 1
    /// Bytes in a cluster id, at most.
    package static let clusterIDBytesMax = 128

    static let fileName = "identity"
    /// A larger file is not read.
    static let fileBytesMax = 4096
    private static let title = "streambus-metadata data directory"

    /// A cluster id is visible ASCII without spaces, so that it stands in lines, logs and URLs as it is.
    static func isValidClusterID(_ id: String) -> Bool {
        !id.isEmpty && id.utf8.count <= clusterIDBytesMax && id.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    func encoded() -> String {
        let lines = """
            \(Self.title)
            format \(formatVersion)
            cluster \(clusterID)
            node \(nodeID)
            disk \(diskID.hexadecimal)

            """
        return lines + "checksum \(Checksum.text(of: lines))\n"
    }

    /// Why a text is no identity.
    enum ParseError: Error, Hashable {
        case damaged(reason: String)
        case unsupportedVersion(UInt32)
    }

    static func parse(_ text: String) throws(ParseError) -> NodeIdentity {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 7, lines[6].isEmpty else { throw .damaged(reason: "it has not six lines") }
        let covered = lines[..<5].map { $0 + "\n" }.joined()
        guard lines[5] == "checksum \(Checksum.text(of: covered))" else {
            throw .damaged(reason: "it does not match its checksum")
        }
        guard lines[0] == title else { throw .damaged(reason: "its first line is not \"\(title)\"") }
        guard let version = UInt32(try value(lines[1], "format")) else { throw .damaged(reason: "format is no number") }
        guard version == currentVersion else { throw .unsupportedVersion(version) }
        let cluster = String(try value(lines[2], "cluster"))
        guard isValidClusterID(cluster) else { throw .damaged(reason: "\"\(cluster)\" is no cluster id") }
        guard let node = UInt64(try value(lines[3], "node")) else { throw .damaged(reason: "node is no number") }
        let disk = try value(lines[4], "disk")
        guard disk.utf8.count == 32, let high = UInt64(disk.prefix(16), radix: 16),
            let low = UInt64(disk.suffix(16), radix: 16)
        else { throw .damaged(reason: "\"\(disk)\" is no disk id") }
        return NodeIdentity(
            formatVersion: version, clusterID: cluster, nodeID: NodeID(node), diskID: DiskID(high: high, low: low))
    }

    private static func value(_ line: Substring, _ name: String) throws(ParseError) -> Substring {
        guard line.hasPrefix(name + " ") else { throw .damaged(reason: "\"\(line)\" is not its line \"\(name)\"") }
        return line.dropFirst(name.count + 1)
    }
}
