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
        return true
    }

    /// Gives up leadership without choosing a successor; the target of a transfer is asked, if it has just shown that it has
    /// everything. Has no effect on a member that does not lead.
    public mutating func stepDown() {
        guard case .leader = state else { return }
        // Nothing can follow any more that the target would lack.
        askSuccessor()
        becomeFollower(term: term, leader: nil)
    }

    /// The target of a transfer has answered. Whenever it does it is asked again, since the request may get lost.
    mutating func continueTransfer(answered member: NodeID) {
        if leadership?.transfer?.target == member { leadership?.transfer?.isAskDue = true }
    }

    /// Asks the target of a transfer to campaign, if it has everything. Not before the messages leave: until then the transfer
    /// may be given up, and entries may follow that the target lacks.
    mutating func askSuccessor() {
        guard let leadership, let transfer = leadership.transfer, transfer.isAskDue else { return }
        self.leadership?.transfer?.isAskDue = false
        guard let offset = leadership.offset(of: transfer.target) else { return }
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
