extension RaftNode {
    /// Why the proposal of a configuration must be refused now; nil when it may be appended.
    ///
    /// One change at a time, not before an entry of this term is committed (erratum of Diss. §4.1), and each step such that two
    /// consecutive configurations cannot have disjoint quorums (Raft §6).
    func configurationRefusal(_ payloads: [[UInt8]]) -> String? {
        guard payloads.count == 1 else {
            return "a configuration is proposed alone, not with \(payloads.count - 1) others"
        }
        let proposed: Configuration
        do throws(ConfigurationDecodingError) {
            proposed = try Configuration(decoding: payloads[0])
        } catch {
            return "the configuration does not decode: \(error)"
        }
        guard let firstIndex = leadership?.firstIndex, commitIndex >= firstIndex else {
            return "no entry of term \(term) is committed yet"
        }
        guard configurations.currentIndex <= commitIndex else {
            return "the configuration at \(configurations.currentIndex) is not committed yet, commit is \(commitIndex)"
        }
        return Self.stepRefusal(from: configuration, to: proposed)
    }

    /// Any set of voters may be reached, but only through a joint configuration.
    static func stepRefusal(from current: Configuration, to proposed: Configuration) -> String? {
        if let problem = proposed.problem() { return problem }
        if proposed.voters.isEmpty { return "a configuration needs a voter" }
        if proposed.voters == current.voters && proposed.outgoing == current.outgoing { return nil }
        if current.isJoint {
            return proposed.voters == current.voters && !proposed.isJoint
                ? nil : "a joint configuration can only be left towards \(current.voters)"
        }
        return proposed.outgoing == current.voters
            ? nil : "voters \(current.voters) can only change through a joint configuration that keeps them as outgoing"
    }

    /// The leader follows the members of the configuration that is in effect now.
    mutating func configurationChanged() {
        guard case .leader(let leadership) = state else { return }
        let next = log.lastIndex.next
        var progress: [Progress] = []
        for member in configuration.members where member.id != id {
            progress.append(
                leadership.offset(of: member.id).map { leadership.progress[$0] } ?? Progress(id: member.id, next: next))
        }
        self.leadership?.progress = progress
        precondition(progress.allSatisfy { $0.id != id }, "\(id) replicates to itself")
        if let target = leadership.transfer?.target, !configuration.isVoter(target) { self.leadership?.transfer = nil }
    }

    /// The configuration in `entry`; nil when it does not decode or is not sound.
    static func decodedConfiguration(_ entry: Entry) -> Configuration? {
        precondition(entry.kind == .configuration, "entry \(entry.position) holds no configuration")
        do throws(ConfigurationDecodingError) {
            return try Configuration(decoding: entry.payload)
        } catch {
            // The reason is of no use here: a message with such an entry is ignored, a disk with one refused by name.
            return nil
        }
    }
}
