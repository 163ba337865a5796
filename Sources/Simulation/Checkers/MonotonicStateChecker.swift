package import RaftCore

/// Terms and commit indexes of a node never fall, it votes once in a term, and what it has told others survives a crash
/// (Raft §5.1, §5.2; pitfall: a lost vote gives two votes in one term).
package struct MonotonicStateChecker {
    private struct Seen {
        var term: Term
        var vote: NodeID?
        var commit: LogIndex
    }

    private var seen = NodeTable<Seen>()
    /// What others may rely on: the last term that was promised, and the vote in it.
    private var promised = NodeTable<HardState>()

    package init() {}

    /// What `node` believes after one of its turns.
    package mutating func observes(
        _ node: NodeID, term: Term, vote: NodeID?, commit: LogIndex
    ) throws(Violation) {
        if let before = seen[node] {
            if before.term > term {
                throw Violation(rule: "monotonic term", detail: "node \(node) went from term \(before.term) to \(term)")
            }
            if before.term == term, let earlier = before.vote, earlier != vote {
                throw Violation(
                    rule: "one vote in a term",
                    detail: "node \(node) voted for \(earlier) in term \(term), now for \(name(vote))")
            }
            if before.commit > commit {
                throw Violation(
                    rule: "monotonic commit", detail: "node \(node) went back from commit \(before.commit) to \(commit)"
                )
            }
        }
        seen[node] = Seen(term: term, vote: vote, commit: commit)
    }

    /// `node` sends a message that others rely on: it asks for a vote, grants one, or acknowledges entries. `vote` is the vote
    /// that the message speaks of; nil when it speaks of none. `durable` is what its disk says at this moment.
    package mutating func promises(
        _ node: NodeID, term: Term, vote: NodeID?, durable: HardState
    ) throws(Violation) {
        guard durable.term >= term, vote == nil || durable.term > term || durable.vote == vote else {
            throw Violation(
                rule: "promises rest on the disk",
                detail: "node \(node) promises term \(term) with its vote for \(name(vote)), its disk has term "
                    + "\(durable.term) with a vote for \(name(durable.vote))")
        }
        var known = promised[node] ?? .initial
        if term > known.term { known = HardState(term: term, vote: vote) }
        if term == known.term, let vote {
            if let earlier = known.vote, earlier != vote {
                throw Violation(
                    rule: "one vote in a term",
                    detail: "node \(node) gave its vote of term \(term) to \(earlier) and to \(vote)")
            }
            known.vote = vote
        }
        promised[node] = known
    }

    /// `node` tells others that it holds the log up to `match`; its disk holds it up to `durable`.
    package func acknowledges(_ node: NodeID, through match: LogIndex, durable: LogIndex) throws(Violation) {
        guard match > durable else { return }
        throw Violation(
            rule: "promises rest on the disk",
            detail: "node \(node) acknowledges the log up to \(match), its disk holds it up to \(durable)")
    }

    /// `node` starts from what its disk holds. A term that nobody was told of may be gone.
    package mutating func restarts(_ node: NodeID, durable: HardState, applied: LogIndex) throws(Violation) {
        if let known = promised[node] {
            guard durable.term >= known.term else {
                throw Violation(
                    rule: "monotonic term",
                    detail: "node \(node) starts in term \(durable.term) and has told others of \(known.term)")
            }
            guard durable.term > known.term || known.vote == nil || known.vote == durable.vote else {
                throw Violation(
                    rule: "one vote in a term",
                    detail:
                        "node \(node) starts in term \(durable.term) with a vote for \(name(durable.vote)), and has "
                        + "told others that it voted for \(name(known.vote))")
            }
        }
        seen[node] = Seen(term: durable.term, vote: durable.vote, commit: applied)
    }

    /// The disk of `node` was wiped, and it comes back as another member: its promises bind nobody.
    package mutating func forgets(_ node: NodeID) {
        seen[node] = nil
        promised[node] = nil
    }

    private func name(_ vote: NodeID?) -> String { vote.map { "node \($0)" } ?? "nobody" }
}
