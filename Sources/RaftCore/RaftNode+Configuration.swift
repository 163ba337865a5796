extension RaftNode {
    // Queries

    /// The index of the entry that holds `configuration`, or that of the base when the entry is compacted away.
    public var configurationIndex: LogIndex { configurations.currentIndex }

    /// The configuration in effect is committed, as far as this member knows.
    public var isConfigurationCommitted: Bool { configurations.currentIndex <= commitIndex }

    /// Whom to talk to: the members of the configuration in effect, and until it is committed those of the one before it too. A
    /// leader that removes itself goes on until that is committed, and has to be answered so long (Diss. §4.2.2). By id.
    public var correspondents: [Member] { configurations.members(committed: commitIndex) }

    /// No change of members is under way, as far as this member knows.
    public var isConfigurationSettled: Bool { isConfigurationCommitted && !configuration.isJoint }

    /// The index of the last configuration that is known to be committed, or of the base when its entry is compacted away.
    public var committedConfigurationIndex: LogIndex { configurations.committedIndex(committed: commitIndex) }

    /// This member leads and an entry of its own term is committed: before that no configuration may be proposed.
    public var hasCommittedInTerm: Bool { leadership.map { commitIndex >= $0.firstIndex } ?? false }

    // Rules

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
        guard hasCommittedInTerm else { return "no entry of term \(term) is committed yet" }
        guard isConfigurationCommitted else {
            return "the configuration at \(configurations.currentIndex) is not committed yet, commit is \(commitIndex)"
        }
        return Self.stepRefusal(from: configuration, to: proposed)
    }

    /// Any set of voters may be reached, but only through a joint configuration.
    static func stepRefusal(from current: Configuration, to proposed: Configuration) -> String? {
        if let problem = proposed.problem() { return problem }
        if proposed.voters.isEmpty { return "a configuration needs a voter" }
        if let refusal = diskRefusal(from: current, to: proposed) { return refusal }
        if proposed.voters == current.voters && proposed.outgoing == current.outgoing {
            let lost = proposed.outgoing.filter { !proposed.isVoter($0) }
            let known = current.outgoing.filter { !current.isVoter($0) }
            return lost == known ? nil : "which outgoing voters count stays as it is until the configuration is left"
        }
        if current.isJoint {
            return proposed.voters == current.voters && !proposed.isJoint
                ? nil : "a joint configuration can only be left towards \(current.voters)"
        }
        guard proposed.outgoing == current.voters else {
            return "voters \(current.voters) can only change through a joint configuration that keeps them as outgoing"
        }
        let counting = proposed.outgoing.filter(proposed.isVoter)
        return counting.count > current.voters.count / 2
            ? nil
            : "the voters \(counting) that go on are no majority of \(current.voters), so it could never be committed"
    }

    /// Another disk is another member, under whatever id: it forgot the votes and entries that the id stands for (KIP-853). The
    /// one before it has to leave first. So two configurations that may both be in force never mean two disks by one name. A
    /// disk that was not known may be named.
    private static func diskRefusal(from current: Configuration, to proposed: Configuration) -> String? {
        for member in proposed.members {
            guard let known = current.member(member.id), known.disk != .unknown, known.disk != member.disk else {
                continue
            }
            return "member \(member.id) cannot get another disk: it has to leave before that disk joins under its id"
        }
        return nil
    }

    /// The leader follows the members of the configuration that is in effect now.
    mutating func configurationChanged() {
        guard case .leader(let leadership) = state else { return }
        let next = log.lastIndex.next
        var progress: [Progress] = []
        for peer in configuration.members.map(\.id) where peer != id {
            progress.append(leadership.progress(of: peer) ?? Progress(peer, next: next))
        }
        self.leadership?.progress = progress
        for peer in leadership.progress where configuration.member(peer.id) == nil { sayFarewell(to: peer) }
        precondition(progress.allSatisfy { $0.id != id }, "\(id) replicates to itself")
        if let target = leadership.transfer?.target, !configuration.isVoter(target) { self.leadership?.transfer = nil }
        // Those that have not answered may be voters no more, and nobody may be left who answers.
        concludeReadRound()
    }

    /// A removed member is sent the configuration without it, if it has kept up, and is then left alone. Without that it
    /// would never learn of its removal from the log; whether it arrives does not matter.
    private mutating func sayFarewell(to peer: Progress) {
        var peer = peer
        var kinds: [Message.Kind] = []
        _ = peer.sendAppends(log: log, commit: commitIndex, options: options, into: &kinds)
        for kind in kinds { send(kind, to: peer.id) }
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
