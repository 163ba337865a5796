package import RaftCore

/// Whose data directory it is. Written by `metad format`, and replaced by `metactl recover` alone.
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
///
/// Format 2 has a line `folder recovered-1` before the checksum: log, database and snapshots lie in that folder. Format 3 has a line
/// `origin joined` there instead: the node was made to join a cluster that there was already.
package struct NodeIdentity: Hashable, Sendable {
    package var clusterID: String
    package var nodeID: NodeID
    /// Random; a formatted-anew directory of the same node is another voter (KIP-853).
    package var diskID: DiskID
    /// Where in the data directory everything else lies; nil: in itself.
    package var folder: String?
    /// The cluster did not begin with this disk. Of a cluster that `metactl recover` made, its first node has not joined.
    package var hasJoined: Bool

    package init(
        clusterID: String, nodeID: NodeID, diskID: DiskID, folder: String? = nil, hasJoined: Bool = false
    ) {
        precondition(folder == nil || !hasJoined, "a recovered cluster begins with this node")
        self.clusterID = clusterID
        self.nodeID = nodeID
        self.diskID = diskID
        self.folder = folder
        self.hasJoined = hasJoined
    }

    /// The newest version that is read.
    package static let currentVersion: UInt32 = 3
    /// The oldest that says what there is to say: in this it is written.
    private var formatVersion: UInt32 { hasJoined ? 3 : folder == nil ? 1 : 2 }
    /// Bytes in a cluster id, at most.
    package static let clusterIDBytesMax = 128

    static let fileName = "identity"
    /// A larger file is not read.
    static let fileBytesMax = 4096
    private static let joinedLine = "origin joined"
    private static let title = "streambus-metadata data directory"

    /// A cluster id is visible ASCII without spaces, so that it stands in lines, logs and URLs as it is.
    package static func isValidClusterID(_ id: String) -> Bool {
        !id.isEmpty && id.utf8.count <= clusterIDBytesMax && id.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    /// One level, visible, and nothing that a file system or a shell takes for more than a name.
    static func isValidFolder(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            }
    }

    func encoded() -> String {
        var lines = """
            \(Self.title)
            format \(formatVersion)
            cluster \(clusterID)
            node \(nodeID)
            disk \(diskID.hexadecimal)

            """
        if let folder { lines += "folder \(folder)\n" }
        if hasJoined { lines += Self.joinedLine + "\n" }
        return lines + "checksum \(Checksum.text(of: lines))\n"
    }

    /// Why a text is no identity.
    enum ParseError: Error, Hashable {
        case damaged(reason: String)
        case unsupportedVersion(UInt32)
    }

    static func parse(_ text: String) throws(ParseError) -> NodeIdentity {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 7, let last = lines.last, last.isEmpty else {
            throw .damaged(reason: "it has fewer than six lines")
        }
        let fields = lines.count - 2
        let covered = lines[..<fields].map { $0 + "\n" }.joined()
        guard lines[fields] == "checksum \(Checksum.text(of: covered))" else {
            throw .damaged(reason: "it does not match its checksum")
        }
        guard lines[0] == title else { throw .damaged(reason: "its first line is not \"\(title)\"") }
        guard let version = UInt32(try value(lines[1], "format")) else { throw .damaged(reason: "format is no number") }
        guard (1...currentVersion).contains(version) else { throw .unsupportedVersion(version) }
        guard fields == (version == 1 ? 5 : 6) else { throw .damaged(reason: "it has \(fields + 1) lines") }
        let cluster = String(try value(lines[2], "cluster"))
        guard isValidClusterID(cluster) else { throw .damaged(reason: "\"\(cluster)\" is no cluster id") }
        guard let node = UInt64(try value(lines[3], "node")) else { throw .damaged(reason: "node is no number") }
        let disk = try value(lines[4], "disk")
        guard disk.utf8.count == 32, let high = UInt64(disk.prefix(16), radix: 16),
            let low = UInt64(disk.suffix(16), radix: 16)
        else { throw .damaged(reason: "\"\(disk)\" is no disk id") }
        let folder = version == 2 ? String(try value(lines[5], "folder")) : nil
        if let folder, !isValidFolder(folder) { throw .damaged(reason: "\"\(folder)\" is no folder") }
        guard version < 3 || lines[5] == joinedLine else { throw .damaged(reason: "its line \"origin\" is unknown") }
        return NodeIdentity(
            clusterID: cluster, nodeID: NodeID(node), diskID: DiskID(high: high, low: low), folder: folder,
            hasJoined: version == 3)
    }

    private static func value(_ line: Substring, _ name: String) throws(ParseError) -> Substring {
        guard line.hasPrefix(name + " ") else { throw .damaged(reason: "\"\(line)\" is not its line \"\(name)\"") }
        return line.dropFirst(name.count + 1)
    }
}
