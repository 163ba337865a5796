package import RaftCore

/// Why a data directory cannot be formatted or opened, and what to do about it.
package enum DataDirectoryError: Error, Hashable, CustomStringConvertible {
    case io(operation: FileOperation, path: String, errno: Int32)
    case notFormatted(path: String)
    case alreadyFormatted(path: String, identity: NodeIdentity)
    /// It holds files that no interrupted format leaves behind.
    case notEmpty(path: String, name: String)
    case wrongCluster(path: String, found: NodeIdentity, expectedClusterID: String, expectedNodeID: NodeID)
    case wrongNode(path: String, found: NodeIdentity, expectedNodeID: NodeID)
    case inUse(path: String)
    case damagedIdentity(path: String, reason: String)
    case unsupportedVersion(path: String, found: UInt32, supported: UInt32)
    case invalidClusterID(String)
    case log(LogError)

    init(_ error: FileSystemError) {
        self = .io(operation: error.operation, path: error.path, errno: error.errno)
    }

    package var description: String {
        switch self {
        case .io(let operation, let path, let errno):
            return describe(operation, path: path, errno: errno)
        case .notFormatted(let path):
            return "\(path) is not formatted: run `metad format --config FILE`"
        case .alreadyFormatted(let path, let identity):
            return
                "\(path) is already formatted for node \(identity.nodeID) of cluster \(identity.clusterID); nothing was "
                + "changed. To start over with an empty disk, move the directory away first"
        case .notEmpty(let path, let name):
            return
                "\(path) is not formatted and holds \(name): formatting needs an empty directory; nothing was changed. "
                + "Move its contents away or choose another directory"
        case .wrongCluster(let path, let found, let clusterID, let nodeID):
            return
                "\(path) belongs to node \(found.nodeID) of cluster \(found.clusterID); this is node \(nodeID) of cluster "
                + "\(clusterID): correct the data directory or the cluster id in the configuration"
        case .wrongNode(let path, let found, let nodeID):
            return "\(path) belongs to node \(found.nodeID) of cluster \(found.clusterID); this is node \(nodeID): "
                + "correct the data directory or the node id in the configuration"
        case .inUse(let path):
            return "\(path) is in use by another process: stop it first, or choose another data directory"
        case .damagedIdentity(let path, let reason):
            return
                "\(path) is damaged: \(reason). Put it back from a backup, or move the data directory away, format a new "
                + "one; until then the other nodes go on without it"
        case .unsupportedVersion(let path, let found, let supported):
            return "\(path) has format version \(found); this program reads version \(supported): run the newer program"
        case .invalidClusterID(let id):
            return
                "\"\(id)\" is no cluster id: 1 to \(NodeIdentity.clusterIDBytesMax) visible ASCII characters, no spaces"
        case .log(let error):
            return error.description
        }
    }
}
