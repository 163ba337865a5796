package import RaftCore

/// What must never happen, and did.
package struct Violation: Error, Hashable, CustomStringConvertible {
    package var rule: String
    package var detail: String

    package var description: String { "\(rule): \(detail)" }
}

/// Judges a run by what it can see from outside: who led, what was committed, applied and synced. It shares no code with
/// what it judges. The rules are those of Raft Figure 3.
package struct RaftChecker {
    package init() {}

    private var leaders: [Term: NodeID] = [:]
    /// Every entry that any member applied.
    private var chosen: [LogIndex: Entry] = [:]
    private var digests: [LogIndex: UInt64] = [:]
    package private(set) var committed = LogPosition.zero
    private var terms: [NodeID: Term] = [:]

    /// Election Safety: at most one leader in a term (Raft §5.2).
    package mutating func leads(_ node: NodeID, in term: Term) throws(Violation) {
        if let other = leaders[term], other != node {
            throw Violation(rule: "election safety", detail: "nodes \(other) and \(node) both lead in term \(term)")
        }
        leaders[term] = node
    }

    /// Leader Completeness: what was committed is in the log of every later leader (Raft §5.4).
    package func mustHoldCommitted(_ node: NodeID, term: Term, holds: (LogPosition) -> Bool) throws(Violation) {
        guard committed.term < term, !holds(committed) else { return }
        throw Violation(
            rule: "leader completeness", detail: "node \(node) leads in term \(term) without \(committed)")
    }

    /// Commit rests on synced logs: a majority of the disks holds what is called committed.
    package mutating func commits(
        _ position: LogPosition, on node: NodeID, durable: [NodeID: Bool], quorum: Configuration
    ) throws(Violation) {
        guard position.index > committed.index else { return }
        let holders = durable.filter(\.value).keys
        guard quorum.isQuorum(holders) else {
            throw Violation(
                rule: "durable commit",
                detail: "node \(node) calls \(position) committed, synced only on \(holders.sorted())")
        }
        committed = position
    }

    /// State Machine Safety: no two members apply different entries at one index (Raft §5.4.3).
    package mutating func applies(_ entries: [Entry], on node: NodeID) throws(Violation) {
        for entry in entries {
            if let other = chosen[entry.index], other != entry {
                throw Violation(
                    rule: "state machine safety",
                    detail: "node \(node) applies \(entry.position), somebody applied \(other.position) there")
            }
            chosen[entry.index] = entry
        }
    }

    /// The same index means the same state.
    package mutating func reaches(_ digest: UInt64, at index: LogIndex, on node: NodeID) throws(Violation) {
        if let other = digests[index], other != digest {
            throw Violation(
                rule: "equal digests", detail: "node \(node) has \(digest) at \(index), another had \(other)")
        }
        digests[index] = digest
    }

    /// A member's term never falls, restarts included.
    package mutating func isInTerm(_ term: Term, _ node: NodeID) throws(Violation) {
        if let before = terms[node], before > term {
            throw Violation(rule: "monotonic term", detail: "node \(node) went from term \(before) to \(term)")
        }
        terms[node] = term
    }

    /// A crash may take back a term that nobody was told of.
    package mutating func restarts(_ node: NodeID, durableTerm: Term) { terms[node] = durableTerm }
}

/// Judges what clients saw. Registers have one writer each, which writes rising numbers; so a read is linearizable when it
/// returns at least what was acknowledged or read by anyone before it began, and at most what was ever sent.
package struct ClientChecker {
    package init() {}

    private var acknowledged: [String: Int] = [:]
    private var sent: [String: Int] = [:]
    private var seen: [String: Int] = [:]
    package private(set) var acknowledgedTopics: Set<String> = []
    package private(set) var sentTopics: Set<String> = []
    package private(set) var acknowledgedWrites = 0
    package private(set) var reads = 0

    package mutating func sendsTopic(_ name: String) { sentTopics.insert(name) }

    package mutating func acknowledgesTopic(_ name: String) {
        acknowledgedTopics.insert(name)
        acknowledgedWrites += 1
    }

    package mutating func sendsWrite(_ register: String, _ value: Int) { sent[register] = value }

    package mutating func acknowledgesWrite(_ register: String, _ value: Int) {
        acknowledged[register] = max(acknowledged[register] ?? 0, value)
        acknowledgedWrites += 1
    }

    /// What a read that begins now has to see at least.
    package func floor(of register: String) -> Int { max(acknowledged[register] ?? 0, seen[register] ?? 0) }

    package mutating func returnsRead(_ register: String, _ value: Int, floor: Int) throws(Violation) {
        reads += 1
        if value < floor {
            throw Violation(
                rule: "linearizable reads", detail: "\(register) read as \(value), was \(floor) before the read began")
        }
        if value > sent[register] ?? 0 {
            throw Violation(rule: "linearizable reads", detail: "\(register) read as \(value), which nobody wrote")
        }
        seen[register] = max(seen[register] ?? 0, value)
    }

    /// One effect for each request, and nothing that was acknowledged is lost.
    package func judge(topics: Set<String>, on node: NodeID) throws(Violation) {
        let lost = acknowledgedTopics.subtracting(topics)
        if let name = lost.min() {
            throw Violation(
                rule: "acknowledged never lost", detail: "node \(node) lacks \(lost.count) topics, as \(name)")
        }
        if let name = topics.subtracting(sentTopics).min() {
            throw Violation(rule: "no invention", detail: "node \(node) has topic \(name), which nobody created")
        }
    }
}
