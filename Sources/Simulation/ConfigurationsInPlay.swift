package import RaftCore

/// Who may have to decide from now on, reckoned from nothing but what members wrote and what became committed. Faults are planned
/// by it, so that a correct system can always recover: **each of these sets of voters keeps a majority whose disks are sound**.
///
/// A configuration counts from the moment that its entry is in a log (Raft §6). So each one that was ever written may come into force:
/// it may be on a disk, or in a message that is still on its way. It cannot any more as soon as
/// - the entry that is committed at its index is another one (State Machine Safety), or
/// - an entry of a later term is committed before it: every leader to come has that one in its log (Leader Completeness), and no
///   log has an earlier term behind a later one.
///
/// Of those that are committed the last one counts.
package struct ConfigurationsInPlay {
    /// One who votes: a member on a disk. Another disk under the same name is another voter, as in KIP-853.
    package struct Voter: Hashable {
        package var id: NodeID
        package var disk: DiskID
    }

    /// The last one that anybody is known to have committed.
    package private(set) var committed: Configuration
    private var committedThrough = LogPosition.zero
    /// What may still become it, by index.
    private var candidates: [Candidate] = []

    private struct Candidate {
        var position: LogPosition
        var configuration: Configuration
    }

    package init(first: Configuration) { committed = first }

    // MARK: Inputs

    /// An entry is about to be written to some log. Returns whether there is one more to reckon with.
    package mutating func writes(_ entry: Entry) -> Bool {
        guard entry.kind == .configuration, entry.index > committedThrough.index, entry.term >= committedThrough.term,
            !candidates.contains(where: { $0.position == entry.position })
        else { return false }
        let configuration: Configuration
        do throws(ConfigurationDecodingError) {
            configuration = try Configuration(decoding: entry.payload)
        } catch {
            // Nobody can go by it; a checker says so if it becomes committed.
            return false
        }
        let place = candidates.firstIndex { $0.position.index > entry.index } ?? candidates.endIndex
        candidates.insert(Candidate(position: entry.position, configuration: configuration), at: place)
        return true
    }

    /// A log is committed up to `last`; `term` tells its terms. Returns whether that settles anything.
    package mutating func commits(through last: LogPosition, term: (LogIndex) -> Term?) -> Bool {
        guard last.index > committedThrough.index else { return false }
        committedThrough = last
        guard !candidates.isEmpty else { return false }
        let count = candidates.count
        for candidate in candidates where candidate.position.index <= last.index {
            if term(candidate.position.index) == candidate.position.term { committed = candidate.configuration }
        }
        candidates.removeAll { $0.position.index <= last.index || $0.position.term < last.term }
        return candidates.count != count
    }

    // MARK: Queries

    /// The committed one and those that may follow it.
    package var all: [Configuration] { [committed] + candidates.map(\.configuration) }

    /// Every set of voters that may have to decide: those of each configuration, what its promotions may make of them, and what
    /// each of `changes` may make of each of these.
    package func voterSets(after changes: [MembershipChange]) -> Set<[Voter]> {
        var sets: Set<[Voter]> = []
        for configuration in all {
            var reached = [configuration.voters.map { voter($0, in: configuration) }]
            for promotion in configuration.promotions {
                let learner = voter(promotion.learner, in: configuration)
                reached += reached.map { voters in
                    voters.filter { $0.id != promotion.replaces && $0.id != learner.id } + [learner]
                }
            }
            for change in changes { reached += reached.flatMap { goals(of: change, from: $0, configuration) } }
            if configuration.isJoint { reached.append(configuration.outgoing.map { voter($0, in: configuration) }) }
            sets.formUnion(reached)
        }
        return sets
    }

    /// True when each of these sets has a majority for which `isThere` holds.
    package func canDecide(after changes: [MembershipChange], _ isThere: (Voter) -> Bool) -> Bool {
        voterSets(after: changes).allSatisfy { voters in voters.count(where: isThere) > voters.count / 2 }
    }

    private func voter(_ id: NodeID, in configuration: Configuration) -> Voter {
        Voter(id: id, disk: configuration.member(id)?.disk ?? .unknown)
    }

    /// What a change leads to where these vote, its steps included.
    private func goals(
        of change: MembershipChange, from voters: [Voter], _ configuration: Configuration
    ) -> [[Voter]] {
        let goals: [[Voter]]
        switch change {
        case .add(let member, _):
            // Where it votes already it keeps its vote: on another disk it is refused.
            guard !voters.contains(where: { $0.id == member.id }) else { return [] }
            goals = [voters + [Voter(member)]]
        case .promote(let id):
            guard !voters.contains(where: { $0.id == id }) else { return [] }
            goals = [voters + [voter(id, in: configuration)]]
        case .remove(let id):
            goals = [voters.filter { $0.id != id }]
        case .replace(let old, let member):
            let others = voters.filter { $0.id != old && $0.id != member.id }
            goals = old == member.id ? [others, others + [Voter(member)]] : [others + [Voter(member)]]
        }
        return goals.filter { !$0.isEmpty }
    }
}

extension ConfigurationsInPlay.Voter {
    fileprivate init(_ member: Member) { self.init(id: member.id, disk: member.disk) }
}
