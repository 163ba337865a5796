internal import RaftCore
internal import Replica

/// Members come and go: what an operator asks for, machines that are put to use and taken out of it, and what is seen of it all.
extension SimulatedCluster {
    /// Members besides those that are on their way out.
    private var membersMax: Int { max(5, options.nodes) }
    private static let patienceMicroseconds: UInt64 = 700_000
    private static let operatorConnection: UInt64 = 1 << 42

    // MARK: What is asked for

    /// The next thing that an operator does. Returns false when there is nothing to be done now.
    func changeMembers() throws(Violation) -> Bool {
        guard orders.task == nil else { return false }
        // For a while it goes on, so that one sees that it disturbs nobody.
        if plan.draw(.memberChange, below: 3) == 0 { try takeOutOfUse() }
        switch plan.draw(.memberChange, below: 16) {
        case 0...4: return try grow()
        case 5...8: return shrink()
        case 9...10: return try replaceByAnother()
        case 11: return try move()
        case 12...13: return transfer()
        default: return askForNonsense()
        }
    }

    private func grow() throws(Violation) -> Bool {
        guard committed.members.count < membersMax, let node = try putToUse() else { return false }
        return give(.change(.add(node.member, isPromoted: true)))
    }

    private func shrink() -> Bool {
        let voters = committed.voters
        guard voters.count > 1 else { return false }
        let leader = leaderOfCore?.id
        var id = drawn(committed.members.map(\.id))
        if plan.draw(.memberChange, below: 2) == 0, let leader, voters.contains(leader) { id = leader }
        return give(.change(.remove(id)))
    }

    private func replaceByAnother() throws(Violation) -> Bool {
        let old = drawn(committed.voters)
        guard old != leaderOfCore?.id, let node = try putToUse() else { return false }
        return give(.change(.replace(old, with: node.member)))
    }

    /// A node comes back elsewhere, under its name and with its disk.
    private func move() throws(Violation) -> Bool {
        let node = node(drawn(committed.members.map(\.id)))
        // Two that are both elsewhere than the others think would never find each other; nor would one that does not know yet where
        // another went, or that there is another.
        guard let replica = node.running?.replica, replica.knownConfigurationIndex <= replica.core.syncedIndex,
            (committed.members + replica.core.configuration.members).allSatisfy(isAtItsAddress),
            inPlay.all.flatMap(\.members).allSatisfy({ replica.core.configuration.member($0.id) != nil })
        else { return false }
        try kill(node)
        node.addressNumber += 1
        trace.line(queue.now, "node \(node.id) is \(node.peerAddress) from now on")
        try start(node.id)
        return give(.change(.add(node.member, isPromoted: true)))
    }

    private func transfer() -> Bool {
        let members = committed.members.map(\.id)
        return give(.transfer(to: plan.draw(.memberChange, below: 2) == 0 ? nil : drawn(members)))
    }

    /// What has to be refused, with the reason. Only while nothing else changes: what makes no sense now might do then.
    private func askForNonsense() -> Bool {
        let configuration = committed
        guard inPlay.all.count == 1, configuration.promotions.isEmpty else { return false }
        let stranger = NodeID(UInt64(nodes.count + 1))
        switch plan.draw(.memberChange, below: 5) {
        case 0: return give(.change(.remove(stranger)))
        case 1:
            let known = configuration.members[plan.draw(.memberChange, below: configuration.members.count)]
            var member = known
            member.disk = DiskID(high: 99, low: 99)
            return give(.change(.add(member, isPromoted: true)))
        case 2:
            var member = configuration.members[0]
            member.id = stranger
            return give(.change(.add(member, isPromoted: true)))
        case 3:
            guard configuration.voters.count == 1 else { return false }
            return give(.change(.remove(configuration.voters[0])))
        default:
            guard let learner = configuration.learners.first else { return false }
            return give(.change(.promote(learner)))
        }
    }

    private func isAtItsAddress(_ member: Member) -> Bool {
        let node = node(member.id)
        return node.disk == member.disk && node.peerAddress == member.peerAddress
    }

    private func anyMember() -> NodeID { drawn(committed.members.map(\.id)) }

    private func drawn(_ ids: [NodeID]) -> NodeID { ids[plan.draw(.memberChange, below: ids.count)] }

    /// Begins with something, unless a correct system could not recover from it.
    private func give(_ order: SimulatedOperator.Order) -> Bool {
        guard canDecide(after: order, { $0.isSound }) else { return false }
        trace.line(queue.now, "asked of the cluster: \(order)")
        orders.task = SimulatedOperator.Task(order: order, target: leaderOfCore?.id ?? anyMember())
        ask()
        return true
    }

    // MARK: Asking

    private func ask() {
        guard let task = orders.task, case .faulty = phase else { return }
        guard task.attempts < SimulatedOperator.attemptsMax else {
            orders.task = nil
            return
        }
        orders.attempt += 1
        orders.task?.attempts += 1
        let attempt = orders.attempt
        queue.plan(in: UInt64(plan.draw(.memberChange, 100, 2_000)), .operatorAsks(attempt: attempt, task.target))
        queue.plan(in: SimulatedCluster.patienceMicroseconds, .operatorTimedOut(attempt: attempt))
    }

    func operatorAsks(_ attempt: UInt64, _ id: NodeID) throws(Violation) {
        guard orders.attempt == attempt, let task = orders.task, case .faulty = phase,
            !clientCuts[Int(id.rawValue) - 1], let process = node(id).running
        else { return }
        let token = RequestToken(connection: SimulatedCluster.operatorConnection, request: attempt)
        try turn(id, process.life) { replica in
            switch task.order {
            case .change(let change): replica.changeMembers(change, isForced: false, token: token)
            case .transfer(let target): replica.transferLeadership(to: target, token: token)
            }
        }
        // What came of it is written at once: an order that was given up can do nothing more.
        if let process = node(id).running, process.turnIsPlanned { try endTurn(node(id), process) }
    }

    func operatorTimedOut(_ attempt: UInt64) {
        guard orders.attempt == attempt, orders.task != nil else { return }
        orders.task?.target = anyMember()
        ask()
    }

    /// `Effect.replyMembership`.
    func answerOperator(_ token: RequestToken, from id: NodeID, _ reply: MembershipReply) {
        guard !clientCuts[Int(id.rawValue) - 1] else { return }
        queue.plan(
            in: UInt64(plan.draw(.memberChange, 100, 2_000)), .operatorHears(attempt: token.request, reply))
    }

    func operatorHears(_ attempt: UInt64, _ reply: MembershipReply) {
        guard orders.attempt == attempt, let task = orders.task else { return }
        switch reply {
        case .done:
            trace.line(queue.now, "done: \(task.order)")
            mark(task.order)
            orders.task = nil
        case .notLeader(let leader), .leadershipLost(let leader):
            orders.task?.target = leader ?? anyMember()
            askLater()
        case .refused(let refusal):
            trace.line(queue.now, "refused, \(refusal.reason.rawValue): \(task.order)")
            report.reached(.changeRefused)
            switch refusal.reason {
            case .changeUnderWay, .leaderNotReady, .notCaughtUp, .memberSilent, .memberAlive:
                askLater()
            case .quorumAtRisk:
                report.reached(.changeRefusedForQuorum)
                askLater()
            case .unknownMember, .anotherDisk, .invalidMember, .tooManyMembers, .lastVoter, .notAVoter,
                .transferFailed:
                orders.task = nil
            }
        }
    }

    private func askLater() {
        queue.plan(
            in: UInt64(plan.draw(.memberChange, 50_000, 300_000)), .lift(.order(attempt: orders.attempt)))
    }

    func askAgain(_ attempt: UInt64) {
        if orders.attempt == attempt { ask() }
    }

    // MARK: Machines

    /// A machine that belongs to nothing is formatted to join, and started. It calls nobody.
    private func putToUse() throws(Violation) -> SimulatedNode? {
        guard let node = nodes.first(where: { !$0.isUsed && !isInPlay($0.id) }) else { return nil }
        try format(node, for: [])
        return node
    }

    private func format(_ node: SimulatedNode, for members: [Member]) throws(Violation) {
        node.format(for: members, logOptions: logOptions)
        judge.forgets(node.id)
        trace.line(queue.now, "node \(node.id) is formatted, disk \(node.disk.text)")
        try start(node.id)
    }

    /// Machines that are no members any more are stopped, and their data is deleted.
    private func takeOutOfUse() throws(Violation) {
        for node in nodes where node.isUsed && !isInPlay(node.id) {
            if !node.isStopped { try kill(node) }
            trace.line(queue.now, "node \(node.id) is taken out of use")
            node.loseDisk(makeMachine())
        }
    }

    /// The machine of a member lost its disk, and an operator makes it a member again.
    func rejoin(_ id: NodeID) throws(Violation) {
        guard case .faulty = phase, !isRejoined(id) else { return }
        queue.plan(in: UInt64(plan.draw(.wipe, 300_000, 900_000)), .lift(.rejoin(id)))
        let node = node(id)
        // Before the disks are known the old one and the new one cannot be told apart: see the operators' page.
        guard orders.task == nil, let member = committed.member(id), member.disk != .unknown else {
            return
        }
        if case .stopped(.refuses) = node.condition { node.loseDisk(makeMachine()) }
        if !node.isUsed {
            // By mistake as the member that it was: nobody listens to it who knows the disk before it.
            let isMistaken =
                options.nodes > 2 && node.formats == 1 && plan.draw(.wipe, below: 2) == 0
                && nodes.allSatisfy { $0 === node || !$0.isUsed || $0.knowsDisk(of: id) }
            return try format(node, for: isMistaken ? firstMembers : [])
        }
        guard let process = node.process else { return }
        if let known = process.replica.core.configuration.member(id), known.disk != node.disk {
            try kill(node)
            node.loseDisk(makeMachine())
            return try format(node, for: [])
        }
        _ = give(.change(.replace(id, with: node.member)))
    }

    private func isRejoined(_ id: NodeID) -> Bool {
        guard let member = committed.member(id) else { return true }
        if case .stopped(.refuses) = node(id).condition { return false }
        return node(id).isUsed && member.disk == node(id).disk
    }

    /// As the operator who sets a new cluster up names them: their disks are not known yet.
    static func firstMembers(_ options: SimulationOptions) -> [Member] {
        (1...options.nodes).map { number in
            Member(
                id: NodeID(UInt64(number)), disk: .unknown, peerAddress: "node\(number).1:1",
                clientAddress: "node\(number).1:2")
        }
    }

    var firstMembers: [Member] { SimulatedCluster.firstMembers(options) }

    /// Whom a client knows: a member as far as the cluster says.
    func someMember() -> NodeID {
        let members = committed.members
        return members[clientGenerator.below(members.count)].id
    }

    // MARK: What is seen

    /// `Effect.configurationChanged`.
    func configurationChanged(_ configuration: Configuration, _ node: SimulatedNode, _ process: SimulatedProcess) {
        let before = process.configuration
        process.configuration = configuration
        trace.line(
            queue.now,
            "node \(node.id) goes by \(configuration.isJoint ? "\(configuration.outgoing) and " : "")\(configuration.voters)"
                + (configuration.learners.isEmpty ? "" : ", learners \(configuration.learners)"))
        if configuration.isJoint { report.reached(.jointEntered) }
        if before.learners.contains(where: configuration.voters.contains) { report.reached(.learnerPromoted) }
        if before.member(node.id) != nil, configuration.member(node.id) == nil, !process.replica.isLeader {
            report.reached(.removedMemberTold)
        }
        reconcile(node, process)
    }

    private func mark(_ order: SimulatedOperator.Order) {
        report.reached(.changeDone)
        switch order {
        case .transfer: report.reached(.memberTransfer)
        case .change(.add(let member, _)) where node(member.id).addressNumber > 1: report.reached(.addressChanged)
        case .change(.replace(let old, let member)) where old == member.id: report.reached(.wipedMemberReplaced)
        case .change: break
        }
    }
}
