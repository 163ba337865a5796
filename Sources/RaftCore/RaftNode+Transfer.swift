extension RaftNode {
    /// Who is asked to take over leadership now; nil when nobody is.
    public var transferTarget: NodeID? { leadership?.transfer?.target }

    /// Hands leadership to `target` (Diss. §3.10): it is brought up to date, then asked to campaign at once. Until then
    /// proposals are refused; after an election timeout without success they are taken again.
    ///
    /// - Returns: false when this member does not lead, another transfer is under way, or `target` is this member, does not
    ///   vote, or is silent. True promises an attempt: watch `Ready.status`.
    public mutating func transferLeadership(to target: NodeID) -> Bool {
        guard case .leader(let leadership) = state, target != id, configuration.isVoter(target),
            let offset = leadership.offset(of: target), leadership.progress[offset].isActive(options)
        else { return false }
        if let transfer = leadership.transfer { return transfer.target == target }
        self.leadership?.transfer = Transfer(target: target)
        continueTransfer(answered: target)
        return true
    }

    /// Gives up leadership without naming a successor. Has no effect on a member that does not lead.
    public mutating func stepDown() {
        if case .leader = state { becomeFollower(term: term, leader: nil) }
    }

    /// Asks the target of a transfer to campaign, if it has everything. Repeated with each of its answers, since the
    /// request may get lost.
    mutating func continueTransfer(answered member: NodeID) {
        guard case .leader(let leadership) = state, let transfer = leadership.transfer, transfer.target == member else {
            return
        }
        guard configuration.isVoter(transfer.target), let offset = leadership.offset(of: transfer.target) else {
            self.leadership?.transfer = nil
            return
        }
        if leadership.progress[offset].match == log.lastIndex { send(.timeoutNow, to: transfer.target) }
    }

    /// The voter that is heard and holds the most of the log.
    func mostUpToDateVoter() -> NodeID? {
        guard case .leader(let leadership) = state else { return nil }
        var best: Progress?
        for peer in leadership.progress where configuration.isVoter(peer.id) && peer.isActive(options) {
            if best.map({ peer.match > $0.match }) ?? true { best = peer }
        }
        return best?.id
    }
}
