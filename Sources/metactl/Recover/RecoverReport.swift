import MetadataModel
import MetadataSchema
import MetadataStore
import RaftCore
import RaftLog

/// What a survivor has, what of the cluster may be lost, and what a recovery made of it.
struct RecoverReport: Report, Equatable {
    var node: UInt64
    var oldClusterID: String
    var newClusterID: String
    /// The members of the old cluster that the new one does not have.
    var membersLeft: [UInt64]
    /// Everything up to here was committed.
    var appliedIndex: UInt64
    /// The last entry on this node; those after `applied_index` are kept, whether they were acknowledged or not.
    var lastIndex: UInt64
    var lastTerm: UInt64
    var term: UInt64
    /// The latest time in the log, in milliseconds since 1970 by the leader's clock; null when the log does not tell.
    @OrNull var lastTimeMilliseconds: UInt64?
    var version: UInt64
    var topics: Int
    var partitions: Int
    var brokers: Int
    var damage: [String]
    /// Where the new cluster's log begins; also its first version.
    var newIndex: UInt64
    var newTerm: UInt64
    /// The folder in the data directory in which the new cluster lives; null when nothing was changed.
    @OrNull var folder: String?

    init(_ recovery: Recovery, folder: String? = nil) {
        let survivor = recovery.survivor
        let summary = survivor.store.summary
        node = survivor.identity.nodeID.rawValue
        oldClusterID = survivor.identity.clusterID
        newClusterID = recovery.clusterID
        membersLeft = survivor.configuration.members.map(\.id.rawValue).filter { $0 != recovery.member.id.rawValue }
        appliedIndex = survivor.store.applied.index.rawValue
        lastIndex = survivor.last.index.rawValue
        lastTerm = survivor.last.term.rawValue
        term = survivor.hardState.term.rawValue
        lastTimeMilliseconds = RecoverReport.time(survivor)
        version = summary.version.rawValue
        topics = summary.totals.topics
        partitions = summary.totals.partitions
        brokers = summary.totals.brokers
        damage = survivor.damage
        newIndex = recovery.position.index.rawValue
        newTerm = recovery.position.term.rawValue
        self.folder = folder
    }

    private static func time(_ survivor: Survivor) -> UInt64? {
        let times = survivor.tail.lazy.filter { $0.kind == .command }.map {
            LogCommand(decoding: $0.payload).timeMilliseconds
        }
        let latest = max(survivor.store.logTimeMilliseconds, times.max() ?? 0)
        return latest == 0 ? nil : latest
    }

    var table: String {
        var lines = [
            "node \(node) of cluster \(oldClusterID.printable): term \(term), last entry \(lastIndex) of term \(lastTerm), "
                + "known to be committed up to \(appliedIndex)",
            "it holds \(topics) topics, \(partitions) partitions, \(brokers) brokers, version \(version)",
            "kept: the \(lastIndex - appliedIndex) entries after \(appliedIndex), whether they were acknowledged or not",
            "lost: whatever the others acknowledged after entry \(lastIndex), which this node cannot know of",
        ]
        for item in damage { lines.append("damaged, and lost from there on: \(item.printable)") }
        lines.append(
            "left behind: \(membersLeft.isEmpty ? "no member" : "nodes " + membersLeft.map(String.init).joined(separator: ", "))"
        )
        if let folder {
            lines += [
                "node \(node) is now the only voter of cluster \(newClusterID.printable), from index \(newIndex) and term \(newTerm) on, in \(folder)",
                "next: set cluster.id to \(newClusterID.printable) in its settings and start it; never start the others with their old data",
            ]
        } else {
            lines.append("it would become the only voter of cluster \(newClusterID.printable); nothing was changed")
        }
        return lines.joined(separator: "\n")
    }
}
