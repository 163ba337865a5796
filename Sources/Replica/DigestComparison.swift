internal import MetadataModel
internal import RaftCore

/// What the members have reported of their digests, on the leader. A digest as of a log entry is the same on every sound
/// member, so the value that a quorum has is right, and whoever has another is damaged. Without a quorum for one value nobody
/// is told anything: an alarm, and nothing else.
struct DigestComparison {
    enum Finding: Hashable {
        /// The member has another digest than the majority, whose value is in the mark.
        case minority(NodeID, majority: DigestMark)
        /// No value has a quorum although values differ.
        case undecided(index: UInt64)
        /// All voters have the same.
        case agreed(index: UInt64)
    }

    private struct Report {
        var node: NodeID
        var digest: UInt64
    }

    private struct Round {
        var index: UInt64
        var since: UInt64
        /// One of each member, in the order of their arrival.
        var reports: [Report] = []
        /// What a quorum has.
        var verdict: UInt64?
        var isClosed = false
    }

    /// By index. A follower may be ahead of the leader, so there can be more than one.
    private var rounds: [Round] = []
    static let roundsMax = 4

    mutating func removeAll() { rounds = [] }

    /// A member, this one included, has this digest.
    mutating func reported(
        _ mark: DigestMark, by node: NodeID, configuration: Configuration, now: UInt64
    ) -> [Finding] {
        guard configuration.member(node) != nil, let at = round(mark.index, now: now) else { return [] }
        guard !rounds[at].reports.contains(where: { $0.node == node }) else { return [] }
        rounds[at].reports.append(Report(node: node, digest: mark.digest))
        if let verdict = rounds[at].verdict {
            return minority(of: [rounds[at].reports[rounds[at].reports.count - 1]], verdict, at: mark.index)
                + conclude(at, configuration)
        }
        if configuration.isQuorum(holders(of: mark.digest, in: rounds[at])) {
            rounds[at].verdict = mark.digest
            return minority(of: rounds[at].reports, mark.digest, at: mark.index) + conclude(at, configuration)
        }
        return conclude(at, configuration)
    }

    /// Ends rounds that wait for members which do not answer.
    mutating func expired(before oldest: UInt64) -> [Finding] {
        var findings: [Finding] = []
        rounds.removeAll { round in
            guard round.since < oldest else { return false }
            let differs = Set(round.reports.map(\.digest)).count > 1
            if differs, round.verdict == nil, !round.isClosed { findings.append(.undecided(index: round.index)) }
            return true
        }
        return findings
    }

    /// Says once how the round ended, when all voters have reported.
    private mutating func conclude(_ at: Int, _ configuration: Configuration) -> [Finding] {
        let round = rounds[at]
        let voters = configuration.members.map(\.id).filter(configuration.isVoter)
        guard !round.isClosed, voters.allSatisfy({ voter in round.reports.contains { $0.node == voter } }) else {
            return []
        }
        rounds[at].isClosed = true
        guard let verdict = round.verdict else { return [.undecided(index: round.index)] }
        let isUnanimous = round.reports.allSatisfy { $0.digest == verdict || !configuration.isVoter($0.node) }
        return isUnanimous ? [.agreed(index: round.index)] : []
    }

    private func minority(of reports: [Report], _ verdict: UInt64, at index: UInt64) -> [Finding] {
        reports.filter { $0.digest != verdict }.map {
            .minority($0.node, majority: DigestMark(index: index, digest: verdict))
        }
    }

    private func holders(of digest: UInt64, in round: Round) -> [NodeID] {
        round.reports.filter { $0.digest == digest }.map(\.node)
    }

    /// Where the round of `index` is; nil for one that is over.
    private mutating func round(_ index: UInt64, now: UInt64) -> Int? {
        if let at = rounds.firstIndex(where: { $0.index == index }) { return at }
        if rounds.count == Self.roundsMax {
            guard let oldest = rounds.first, oldest.index < index else { return nil }
            rounds.removeFirst()
        }
        let at = rounds.firstIndex { $0.index > index } ?? rounds.count
        rounds.insert(Round(index: index, since: now), at: at)
        return at
    }
}
