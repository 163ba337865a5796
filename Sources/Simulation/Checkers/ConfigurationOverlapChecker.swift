package import RaftCore

/// Two committed configurations that follow each other cannot decide without a common member (Raft §6, Diss. §4.1).
package struct ConfigurationOverlapChecker {
    private struct Committed {
        var index: LogIndex
        var voters: VoterGroups
    }

    private var last: Committed?

    package init() {}

    /// The configuration at `index` is committed. Those that were judged before are passed over.
    package mutating func commits(_ voters: VoterGroups, at index: LogIndex) throws(Violation) {
        if let last {
            guard index > last.index else { return }
            guard last.voters.overlaps(voters) else {
                throw Violation(
                    rule: "configurations overlap",
                    detail: "\(voters) at \(index) can decide without anybody who has to decide in \(last.voters) at "
                        + "\(last.index)")
            }
        }
        last = Committed(index: index, voters: voters)
    }
}
