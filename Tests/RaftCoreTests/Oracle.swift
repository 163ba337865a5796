@testable import RaftCore

/// Sees everything, and stops the test when a rule of Raft §5.2 to §5.4 or the linearizability of reads is broken.
struct Oracle {
    private var leaders: [Term: NodeID] = [:]
    /// Entry `index` is at `index - 1`: what anyone has applied first.
    private var applied: [Entry] = []
    private var commit: LogIndex = .zero
    /// What each member's disk holds; restarts included.
    private var synced: [NodeID: HardState] = [:]
    /// Pairs of configurations that were found to overlap.
    private var overlapping: Set<[Configuration]> = []
    private struct Read: Hashable {
        var member: NodeID
        var id: UInt64
    }
    private var reads: [Read: LogIndex] = [:]

    var appliedCount: Int { applied.count }
    var leaderCount: Int { leaders.count }

    /// Election safety (Raft §5.2): at most one leader in a term.
    mutating func observe(_ status: Status, of id: NodeID) {
        guard status.role == .leader else { return }
        let known = leaders[status.term]
        precondition(known == nil || known == id, "\(id) and \(known.map(String.init) ?? "") lead term \(status.term)")
        leaders[status.term] = id
    }

    /// What is synced is never taken back: a term falls nowhere, and in a term a member votes once (Raft §5.1, §5.2).
    private mutating func observe(_ synced: HardState, of id: NodeID) {
        if let before = self.synced[id] {
            precondition(synced.term >= before.term, "\(id) had \(before) synced, and then \(synced)")
            precondition(
                synced.term > before.term || before.vote == nil || synced.vote == before.vote,
                "\(id) voted twice in term \(synced.term): for \(before), then \(synced)")
        }
        self.synced[id] = synced
    }

    /// Two configurations that follow each other in a log have no quorums without a common member (Raft §6), by trying all
    /// sets of members.
    private mutating func checkOverlap(_ former: Configuration, _ latter: Configuration) {
        guard former != latter, !former.voters.isEmpty, overlapping.insert([former, latter]).inserted else { return }
        let members = Set((former.members + latter.members).map(\.id)).sorted()
        for choice in 0..<(1 << members.count) {
            let some = members.enumerated().filter { choice >> $0.offset & 1 == 1 }.map(\.element)
            guard former.isQuorum(some) else { continue }
            let others = members.filter { !some.contains($0) }
            precondition(!latter.isQuorum(others), "\(some) is a quorum of \(former), \(others) of \(latter)")
        }
    }

    /// Leader completeness (Raft §5.4): a leader of a later term has everything that was ever applied.
    mutating func observe(_ node: RaftNode, of id: NodeID) {
        commit = max(commit, node.commitIndex)
        observe(node.persistence.syncedHardState, of: id)
        for former in node.configurations.inForce(committed: .zero) { checkOverlap(former, node.configuration) }
        // What lets a member forget the ones before those two (erratum of Diss. §4.1).
        if let former = node.log.entries.filter({ $0.kind == .configuration }).dropLast().last {
            precondition(former.index <= commit, "\(id) holds a configuration after the uncommitted \(former.position)")
            let offset = Int(former.index.rawValue) - 1
            precondition(
                offset >= applied.count || applied[offset] == former,
                "\(id) holds a configuration after the superseded \(former.position)")
        }
        guard node.status.role == .leader, node.hardState.term == leaders.keys.max() else { return }
        for entry in applied where entry.index > node.base.index {
            precondition(
                node.term(at: entry.index) == entry.term,
                "leader \(id) of \(node.hardState.term) lacks \(entry.position)")
        }
    }

    /// State machine safety (Raft §5.4.3): nobody applies another entry at the same index.
    mutating func applied(_ entry: Entry, at id: NodeID) {
        let offset = Int(entry.index.rawValue) - 1
        if offset < applied.count {
            precondition(applied[offset] == entry, "\(id) applies \(entry.text), others \(applied[offset].text)")
        } else {
            precondition(offset == applied.count, "\(id) applies \(entry.text) after \(applied.count) entries")
            applied.append(entry)
        }
    }

    mutating func readStarts(at id: NodeID, id read: UInt64) { reads[Read(member: id, id: read)] = commit }

    mutating func readsLost(at id: NodeID) { reads = reads.filter { $0.key.member != id } }

    /// A read sees everything that was committed anywhere when it was asked for (Diss. §6.4).
    mutating func readConfirmed(_ read: ConfirmedRead, at id: NodeID) {
        guard let started = reads.removeValue(forKey: Read(member: id, id: read.id)) else {
            preconditionFailure("read \(read.id) at \(id) is answered, but was not asked, or twice")
        }
        precondition(
            read.index >= started, "read \(read.id) at \(id) sees \(read.index), \(started) was committed before")
    }

    /// Log matching (Raft §5.3): logs that agree in the term of an entry agree in everything before it.
    func checkLogs(_ nodes: [RaftNode]) {
        for (offset, left) in nodes.enumerated() {
            for right in nodes[(offset + 1)...] {
                var index = min(left.lastIndex, right.lastIndex)
                let first = max(left.base.index, right.base.index)
                while index > first, left.term(at: index) != right.term(at: index) { index = index.previous }
                guard index > first else { continue }
                let range = first.next..<index.next
                precondition(
                    left.entries(in: range) == right.entries(in: range),
                    "the logs of \(left.id) and \(right.id) agree at \(index), but not before")
            }
        }
    }
}
