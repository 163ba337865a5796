package import RaftCore

/// Elections disturb nobody who is well: a member that hears nobody starts no terms (Diss. §9.6), one that hears its leader
/// votes for nobody else (Diss. §4.2.3), a leader that no majority answers steps down (Diss. §6.2), and leadership is handed only to
/// who has the whole log (Diss. §3.10). Without these a partial partition keeps a cluster without a leader (Cloudflare 2020).
package struct DisturbanceChecker {
    private struct Member {
        /// Somebody's message arrived since it last began a term.
        var wasHeard = true
        /// When a message of the present leader arrived, and of which term.
        var leaderHeard: UInt64?
        var leaderTerm = Term.zero
        /// When it last heard from each other member since it leads.
        var heardFrom = NodeTable<UInt64>()
        /// Since when it leads, and these are the voters.
        var leadsSince: UInt64?
        var voters: VoterGroups?

        mutating func receives(from sender: NodeID, term: Term, isLeaders: Bool, at now: UInt64) {
            wasHeard = true
            heardFrom[sender] = now
            guard isLeaders, term >= leaderTerm else { return }
            leaderHeard = now
            leaderTerm = term
        }
    }

    private let electionTimeoutMicroseconds: UInt64
    private let slackMicroseconds: UInt64
    private var members = NodeTable<Member>()

    /// - Parameters:
    ///   - electionTimeoutMicroseconds: the shortest one.
    ///   - slackMicroseconds: how much a member's ticks may be apart from real time.
    package init(electionTimeoutMicroseconds: UInt64, slackMicroseconds: UInt64) {
        self.electionTimeoutMicroseconds = electionTimeoutMicroseconds
        self.slackMicroseconds = slackMicroseconds
    }

    /// A message arrived. `isLeaders` says that only leaders send such a one.
    package mutating func receives(
        _ node: NodeID, from sender: NodeID, term: Term, isLeaders: Bool, at now: UInt64
    ) {
        members[node, default: Member()].receives(from: sender, term: term, isLeaders: isLeaders, at: now)
    }

    /// The link to its leader broke: that ends what a member owes it.
    package mutating func losesLeader(_ node: NodeID) { members[node, default: Member()].leaderHeard = nil }

    /// A process starts, or one that was stopped goes on: it knows nobody's latest word.
    package mutating func restarts(_ node: NodeID) { members[node] = Member() }

    /// A member has become a candidate. `isAlone`: it is the only voter.
    package mutating func campaigns(_ node: NodeID, in term: Term, isAlone: Bool) throws(Violation) {
        guard members[node, default: Member()].wasHeard || isAlone else {
            throw Violation(
                rule: "no term without being heard",
                detail: "node \(node) begins term \(term) and has heard from nobody since it began its last one")
        }
        members[node, default: Member()].wasHeard = false
        members[node, default: Member()].leaderHeard = nil
    }

    /// A member votes for another, not asked to by the leader itself.
    package func votes(_ node: NodeID, for candidate: NodeID, in term: Term, at now: UInt64) throws(Violation) {
        guard let member = members[node], let heard = member.leaderHeard, member.leaderTerm < term,
            now - heard + slackMicroseconds < electionTimeoutMicroseconds
        else { return }
        throw Violation(
            rule: "who hears its leader votes for nobody",
            detail: "node \(node) votes for \(candidate) in term \(term), \(now - heard) us after its leader of term "
                + "\(member.leaderTerm) was heard")
    }

    /// A member still leads at this moment, or does not.
    package mutating func observes(
        _ node: NodeID, leads: Bool, voters: VoterGroups, at now: UInt64
    ) throws(Violation) {
        guard leads else {
            members[node, default: Member()].leadsSince = nil
            return
        }
        let known = members[node, default: Member()]
        guard let since = known.leadsSince, known.voters == voters else {
            members[node, default: Member()].leadsSince = now
            members[node, default: Member()].voters = voters
            return
        }
        let bound = 2 * electionTimeoutMicroseconds + slackMicroseconds
        guard now - since > bound else { return }
        func isHeard(_ other: NodeID) -> Bool {
            other == node || known.heardFrom[other].map { now - $0 <= bound } ?? false
        }
        guard !voters.decides(isHeard) else { return }
        throw Violation(
            rule: "a leader that nobody hears steps down",
            detail: "node \(node) leads at \(now) us and heard only "
                + "\(Set(voters.groups.joined()).filter(isHeard).sorted()) of \(voters) for \(bound) us")
    }

    /// A leader whose log ends at `last` asks `target`, whose log ends at `held`, to take over.
    package func transfers(to target: NodeID, holding held: LogPosition, last: LogPosition) throws(Violation) {
        guard held.term < last.term || held.term == last.term && held.index < last.index else { return }
        throw Violation(
            rule: "a successor has the whole log",
            detail: "node \(target), whose log ends at \(held), is asked to lead for one whose log ends at \(last)")
    }
}
