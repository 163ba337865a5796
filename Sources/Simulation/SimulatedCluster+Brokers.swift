internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

/// Brokers: registered by a client, alive by their heartbeats. They die, are paused, are shut down and come back, and others speak
/// in their names. Where there is a coordinator they do what they are told: their replicas get in sync, and their leaders say so.
extension SimulatedCluster {
    private static let heartbeatMicroseconds: UInt64 = 200_000
    /// Connections from here on are those of brokers.
    static let brokerConnections: UInt64 = 1 << 40
    /// And from here on those of processes of brokers that were replaced, and of copies of heartbeats.
    private static let replacedConnections: UInt64 = 1 << 41
    private static let copiedConnections: UInt64 = 3 << 40
    /// Brokers that are never lost.
    private static let brokersMin = 2
    private static let reportsMax = 60

    func startBrokers() {
        for number in brokers.indices { queue.plan(in: 100_000, .heartbeat(broker: number)) }
    }

    // MARK: Registration

    /// The registration that a client has to make next, if any.
    func brokerToRegister() -> SimulatedClient.Operation? {
        for number in brokers.indices {
            guard case .unregistered = brokers[number].state else { continue }
            brokers[number].state = .registering
            return .registerBroker(
                brokers[number].id, brokers[number].incarnationID, previous: brokers[number].provenEpoch)
        }
        return nil
    }

    func registered(_ broker: BrokerID, _ incarnation: IncarnationID, _ epoch: BrokerEpoch) {
        let number = Int(broker.rawValue)
        guard brokers[number].incarnationID == incarnation, case .registering = brokers[number].state else { return }
        brokers[number].replacedEpoch = brokers[number].lastEpoch.flatMap { $0 == epoch ? nil : $0 }
        brokers[number].lastEpoch = epoch
        brokers[number].provenEpoch = nil
        brokers[number].state = .alive(epoch)
    }

    func registrationRefused(_ broker: BrokerID) {
        let number = Int(broker.rawValue)
        if case .registering = brokers[number].state { brokers[number].state = .unregistered }
    }

    // MARK: Heartbeats

    func heartbeat(_ number: Int) throws(Violation) {
        queue.plan(in: SimulatedCluster.heartbeatMicroseconds, .heartbeat(broker: number))
        let broker = brokers[number]
        let epoch: BrokerEpoch
        var leaves = false
        switch broker.state {
        case .alive(let known): epoch = known
        case .leaving(let known): (epoch, leaves) = (known, true)
        case .unregistered, .registering, .paused, .silent, .lost: return
        }
        guard isReached(broker.target) else {
            brokers[number].target = someMember()
            return
        }
        brokers[number].beats += 1
        try beat(number, epoch, leaves: leaves, over: SimulatedCluster.brokerConnections, to: broker.target)
        copyHeartbeat(number, epoch, to: broker.target)
        // The process that was replaced goes on as if nothing had happened.
        if let replaced = broker.replacedEpoch {
            try beat(number, replaced, over: SimulatedCluster.replacedConnections, to: broker.target)
        }
        if plan.coordinator != nil, brokers[number].beats % 2 == 0 { try reportReplicas(number, epoch) }
    }

    private func isReached(_ target: NodeID) -> Bool {
        !clientCuts[Int(target.rawValue) - 1] && node(target).running != nil
    }

    private func beat(
        _ number: Int, _ epoch: BrokerEpoch, leaves: Bool = false, over connection: UInt64, to target: NodeID
    ) throws(Violation) {
        guard isReached(target), let process = node(target).running else { return }
        let token = RequestToken(connection: connection + UInt64(number), request: queue.now)
        let now = node(target).clock.milliseconds(at: queue.now)
        let id = brokers[number].id
        try turn(target, process.life) {
            $0.heartbeat(broker: id, epoch: epoch, wantsFence: false, wantsShutdown: leaves, token: token, now: now)
        }
    }

    /// The network keeps a copy; some speak of an epoch that nobody ever was given.
    private func copyHeartbeat(_ number: Int, _ epoch: BrokerEpoch, to target: NodeID) {
        guard plan.strikes(.lateHeartbeats) else { return }
        report.happened(.lateHeartbeats)
        let said: BrokerEpoch =
            switch plan.draw(.lateHeartbeats, below: 6) {
            case 0: BrokerEpoch(epoch.rawValue + 1)
            case 1: BrokerEpoch(epoch.rawValue - 1)
            default: epoch
            }
        queue.plan(
            in: UInt64(plan.draw(.lateHeartbeats, 5_000, 3_000_000)), .copiedHeartbeat(broker: number, said, to: target)
        )
    }

    func copiedHeartbeat(_ number: Int, _ epoch: BrokerEpoch, _ target: NodeID) throws(Violation) {
        try beat(number, epoch, over: SimulatedCluster.copiedConnections, to: target)
    }

    func answerHeartbeat(_ token: RequestToken, from id: NodeID, _ reply: HeartbeatReply) {
        let (base, number): (UInt64, Int)
        switch token.connection {
        case SimulatedCluster.copiedConnections...:
            base = SimulatedCluster.copiedConnections
        case SimulatedCluster.replacedConnections...:
            base = SimulatedCluster.replacedConnections
        default:
            base = SimulatedCluster.brokerConnections
        }
        number = Int(token.connection - base)
        // Whoever is about to be fenced has no lease.
        if case .accepted(let state, _, _, _) = reply, state != .fencing {
            judge.hears(brokers[number].id, at: queue.now)
        }
        switch base {
        case SimulatedCluster.copiedConnections:
            return
        case SimulatedCluster.replacedConnections:
            switch reply {
            // A leader that has not applied the new registration yet knows no better.
            case .accepted, .notLeader: break
            case .unknownBroker:
                report.reached(.brokerUnknown)
                brokers[number].replacedEpoch = nil
            }
        default:
            guard !clientCuts[Int(id.rawValue) - 1] else { return }
            queue.plan(
                in: draw(&clientGenerator, 100, 1_500), .heartbeatAnswered(broker: number, sent: token.request, reply))
        }
    }

    func heartbeatAnswered(_ number: Int, _ sent: UInt64, _ reply: HeartbeatReply) {
        var leaves = false
        switch brokers[number].state {
        case .alive: break
        case .leaving: leaves = true
        case .unregistered, .registering, .paused, .silent, .lost: return
        }
        switch reply {
        case .accepted(_, _, _, let shouldShutDown):
            guard leaves, shouldShutDown else { return }
            report.reached(.brokerShutDown)
            brokers[number].provenEpoch = brokers[number].lastEpoch
            silence(number, for: UInt64(plan.draw(.brokerShutdown, 200_000, 2_000_000)))
        case .notLeader(let leader):
            brokers[number].target = leader ?? someMember()
        case .unknownBroker:
            report.reached(.brokerUnknown)
            brokers[number].state = .unregistered
        }
    }

    // MARK: Replicas

    /// Replicas that are new, or were away, are in sync by now, and the leaders of their partitions say so. What a broker knows it
    /// has from the member that it speaks to.
    private func reportReplicas(_ number: Int, _ epoch: BrokerEpoch) throws(Violation) {
        let id = brokers[number].id
        let target = node(brokers[number].target)
        guard target.running != nil else { return }
        let reports: [Command.ISRReport]
        do throws(StateMachineFailure) {
            reports = try self.reports(by: id, target.machine)
        } catch {
            guard error.kind == .lack else { return try fails(target, error) }
            return
        }
        guard !reports.isEmpty else { return }
        let command = Command.alterPartitions(.init(broker: id, brokerEpoch: epoch, reports: reports))
        let intent = WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes())
        queue.plan(in: draw(&clientGenerator, 100, 1_500), .forgottenRequest(intent, to: brokers[number].target))
    }

    private func reports(
        by id: BrokerID, _ machine: any SimulatedStateMachine
    ) throws(StateMachineFailure) -> [Command.ISRReport] {
        guard case .brokers(let known) = try machine.answer(.brokers(after: nil, limit: brokers.count)),
            case .partitions(let lacking) = try machine.answer(
                .clusterPartitions(.underReplicated, after: nil, limit: Limits.pageItemsMax))
        else { preconditionFailure("lists of brokers and partitions were answered with something else") }
        let active = known.items.filter(\.isActive).map(\.id)
        let reports = lacking.items.compactMap { partition -> Command.ISRReport? in
            let isr = partition.replicas.filter { partition.isr.contains($0) || active.contains($0) }
            guard partition.leader == id, isr.count > partition.isr.count else { return nil }
            return Command.ISRReport(
                partition: partition.key, leaderEpoch: partition.leaderEpoch,
                partitionEpoch: partition.partitionEpoch, isr: isr)
        }
        return Array(reports.prefix(SimulatedCluster.reportsMax))
    }

    // MARK: Faults

    /// A broker stops; false when it has not begun.
    func stopBroker(_ kind: FaultKind) -> Bool {
        let number = plan.draw(kind, below: brokers.count)
        guard case .alive(let epoch) = brokers[number].state else { return false }
        switch kind {
        case .silentBroker:
            silence(number, for: UInt64(plan.draw(kind, 500_000, 4_000_000)))
        case .pausedBroker:
            // Around its timeout.
            brokers[number].state = .paused(epoch)
            queue.plan(in: UInt64(plan.draw(kind, 300_000, 2_500_000)), .lift(.broker(number)))
        case .brokerShutdown:
            brokers[number].state = .leaving(epoch)
        case .lostBroker:
            guard brokers.count(where: \.isLost) < brokers.count - SimulatedCluster.brokersMin else { return false }
            brokers[number].state = .lost
            trace.line(queue.now, "broker \(brokers[number].id) is lost")
        default:
            preconditionFailure("\(kind) stops no broker")
        }
        return true
    }

    private func silence(_ number: Int, for span: UInt64) {
        brokers[number].state = .silent
        queue.plan(in: span, .lift(.broker(number)))
    }

    /// It comes back, mostly as another process.
    func wakeBroker(_ number: Int) {
        switch brokers[number].state {
        case .silent:
            brokers[number].incarnation += 1
            brokers[number].state = .unregistered
        case .paused(let epoch):
            brokers[number].state = .alive(epoch)
        case .unregistered, .registering, .alive, .leaving, .lost:
            return
        }
    }
}

extension SimulatedBroker {
    fileprivate var isLost: Bool {
        if case .lost = state { true } else { false }
    }
}
