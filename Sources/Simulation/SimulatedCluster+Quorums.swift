internal import RaftCore
internal import Replica

/// Whose disks are needed: what is planned leaves every set of voters that may have to decide a majority that can
/// (`ConfigurationsInPlay`). Nothing makes a disk unsound, takes one out of use or asks for other members without asking here.
extension SimulatedCluster {
    /// The last configuration that anybody is known to have committed.
    var committed: Configuration { inPlay.committed }

    /// A turn of a member ends: what it is about to write, and how much it knows to be committed.
    func noteConfigurations(_ core: borrowing RaftNode, writes: [Persist]) throws(Violation) {
        var hasChanged = false
        for write in writes {
            for entry in write.entries where inPlay.writes(entry) { hasChanged = true }
        }
        if let term = core.term(at: core.commitIndex) {
            let last = LogPosition(index: core.commitIndex, term: term)
            if inPlay.commits(through: last, term: { core.term(at: $0) }) { hasChanged = true }
        }
        if hasChanged { try checkPlan() }
    }

    /// The plan holds at every moment, not only at the end of the faults: who broke it is near. What it finds is a mistake of the
    /// simulator.
    func checkPlan() throws(Violation) {
        guard !canDecide({ $0.isSound }) else { return }
        let sets = inPlay.voterSets(after: pendingChanges()).map { "\($0.map(\.id))" }.sorted()
        throw Violation(
            rule: "a correct system can recover",
            detail: "the disks of \(nodes.filter(\.isSound).map(\.id)) are sound: not a majority of each of \(sets)")
    }

    /// True when every set of voters that may have to decide from now on has a majority for which `isThere` holds.
    ///
    /// - Parameter order: may be carried out besides; by default what an operator asks for.
    func canDecide(after order: SimulatedOperator.Order? = nil, _ isThere: (SimulatedNode) -> Bool) -> Bool {
        inPlay.canDecide(after: pendingChanges(order)) { voter in isOn(voter) && isThere(node(voter.id)) }
    }

    /// What is not in any log yet and may get there: what an operator asks for, and the second halves of replacements.
    private func pendingChanges(_ order: SimulatedOperator.Order? = nil) -> [MembershipChange] {
        nodes.compactMap { $0.process?.unfinishedReplacement }
            + [(order ?? orders.task?.order)?.change].compactMap(\.self)
    }

    /// Whether the machine still has the disk that a configuration speaks of. The first configuration names no disks.
    func isOn(_ voter: ConfigurationsInPlay.Voter) -> Bool {
        guard let node = nodes.first(where: { $0.id == voter.id }), node.isUsed else { return false }
        return voter.disk == node.disk || voter.disk == .unknown && node.formats == 1
    }

    /// Members of any configuration in play, on the disk that it names and with nothing wrong on it.
    var soundMembers: [NodeID] {
        let members = inPlay.all.flatMap(\.members).filter {
            isOn(ConfigurationsInPlay.Voter(id: $0.id, disk: $0.disk)) && node($0.id).isSound
        }
        return Set(members.map(\.id)).sorted()
    }

    /// A learner that moved, or lost its disk, before it had heard of anybody calls nobody, and nobody finds it until the
    /// cluster has taken in where it is, in every configuration that may be the one: its operator has to ask again. It may be
    /// found all the same, and then be needed, but it owes nothing.
    func isFound(_ id: NodeID) -> Bool {
        let known = inPlay.all.filter { $0.member(id) != nil }
        let meant = known.filter { isOn(ConfigurationsInPlay.Voter(id: id, disk: $0.member(id)?.disk ?? .unknown)) }
        return meant.contains { $0.isVoter(id) }
            || meant.count == known.count && meant.allSatisfy { $0.member(id)?.peerAddress == node(id).peerAddress }
    }

    /// Whether `id` belongs to any configuration in play, or is about to.
    func isInPlay(_ id: NodeID) -> Bool {
        inPlay.all.contains { $0.member(id) != nil }
            || nodes.contains { node in
                guard case .replace(id, _) = node.process?.unfinishedReplacement else { return false }
                return true
            }
    }
}
