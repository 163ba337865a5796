import Simulation

extension Mutant {
    private static let leader = "RaftCore/RaftNode+Replication.swift"
    private static let persistence = "RaftCore/RaftNode+Persistence.swift"
    private static let pipeline = "RaftCore/PersistPipeline.swift"

    static let replication = [
        Mutant(
            "commit-counts-memory", line: 7, "a commit counts what only sits in the leader's memory (etcd 14370)",
            .expression(leader, "let synced = ⟦persistence.syncedIndex⟧", "log.lastIndex")),
        Mutant(
            "commit-of-an-earlier-term", line: 12,
            "an entry of an earlier term is committed by counting (Raft §5.4.2, Figure 8)",
            .expression(leader, "guard index > commitIndex, ⟦log.term(at: index) == term⟧ else", "true"),
            .expression(
                leader, "⟦log.term(at: index) == term⟧, \"commits \\(index) of another term", "true")),
        Mutant(
            "minority-commits", "one holder less than a majority is enough to commit",
            .expression("RaftCore/Quorum.swift", "return ⟦held[group.count / 2]⟧", "held[max(0, group.count / 2 - 1)]")),
        Mutant(
            "acknowledged-before-sync", line: 7, "an acknowledgement leaves before the entries are on the disk",
            .expression(persistence, "if ⟦persistence.isIdle⟧ {", "true")),
        Mutant(
            "overwritten-counts-as-synced", line: 7, "a sync of entries that were overwritten counts for the new ones",
            .statements(pipeline, "clamp(to: index.previous)", "syncedIndex = min(syncedIndex, index.previous)")),
        Mutant(
            "no-consistency-check", "entries are appended behind an entry of another term (Raft §5.3)",
            .expression(
                leader, "guard ⟦log.contains(previous)⟧ else {\n            reject", "previous.index <= log.lastIndex")),
        Mutant(
            "gap-acknowledged", "an append behind a gap is acknowledged",
            .statements(
                leader, "guard log.contains(previous) else {\n            ⟦reject(previous, to: message.from)⟧",
                "sendOnceSynced(.appendAccepted(match: previous.index), to: message.from)")),
        Mutant(
            "match-from-a-rejection", "a rejected append moves the follower's match index",
            .statements(
                leader, "⟦leadership?.progress[offset].rejected(rejected, backTo: candidate)⟧",
                "let match = min(rejected, log.lastIndex); leadership?.progress[offset].accepted(match)")),
        Mutant(
            "follower-commits-its-tail", "a follower commits beyond what the message has shown to match (Raft §5.3)",
            // Before and after what conflicts is removed.
            .statements(
                leader, "⟦appendReceived(fresh)⟧\n        sendOnceSynced",
                "advanceCommit(to: max(commitIndex, min(commit, log.lastIndex))); appendReceived(fresh)"),
            .expression(leader, "advanceCommit(to: max(commitIndex, min(commit, ⟦last⟧)))", "log.lastIndex")),
        Mutant(
            "heartbeat-commits-beyond-match", "a heartbeat names a commit index that the follower may not have",
            .expression("RaftCore/Progress.swift", "let commit = ⟦min(match, commit)⟧", "commit")),
        Mutant(
            "late-append-truncates", "an append that comes late removes entries that do not conflict",
            .expression(leader, "if ⟦known != entry.term⟧ {", "next > commitIndex")),
        Mutant(
            "unbounded-log", line: 16, "a leader without a quorum takes proposals without end",
            .expression(
                leader, "guard ⟦uncommitted == 0 || uncommitted + cost <= options.uncommittedBytesMax⟧ else", "true")),
        Mutant(
            "truncated-configuration-stays", line: 2,
            "a configuration that left the log stays in effect (canonical/raft 323)",
            under: [.memberChange, .isolation],
            .statements(leader, "_ = configurations.truncate(from: index)", "_ = index")),
        Mutant(
            "applied-before-sync", line: 48, "entries are applied that the own log has not synced",
            .expression(
                "RaftCore/RaftNode.swift", "let applicable = ⟦min(commitIndex, persistence.syncedIndex)⟧", "commitIndex"
            )),
    ]
}
