internal import MetadataModel
internal import RaftCore
internal import Replica

/// Brokers: registered by a client, alive by their heartbeats, silent now and then.
extension SimulatedCluster {
    private static let heartbeatMicroseconds: UInt64 = 200_000
    /// Connections from here on are those of brokers.
    static let brokerConnections: UInt64 = 1 << 40
    /// And from here on those of processes of brokers that were replaced.
    private static let replacedConnections: UInt64 = 1 << 41

    func startBrokers() {
        for number in brokers.indices { queue.plan(in: 100_000, .heartbeat(broker: number)) }
    }

    /// The registration that a client has to make next, if any.
    func brokerToRegister() -> SimulatedClient.Operation? {
        for number in brokers.indices {
            guard case .unregistered = brokers[number].state else { continue }
            brokers[number].state = .registering
            return .registerBroker(brokers[number].id, brokers[number].incarnationID)
        }
        return nil
    }

    func registered(_ broker: BrokerID, _ incarnation: IncarnationID, _ epoch: BrokerEpoch) {
        let number = Int(broker.rawValue)
        guard brokers[number].incarnationID == incarnation, case .registering = brokers[number].state else { return }
        brokers[number].replacedEpoch = brokers[number].lastEpoch.flatMap { $0 == epoch ? nil : $0 }
        brokers[number].lastEpoch = epoch
        brokers[number].state = .alive(epoch)
    }

    func registrationRefused(_ broker: BrokerID) {
        let number = Int(broker.rawValue)
        if case .registering = brokers[number].state { brokers[number].state = .unregistered }
    }

    func heartbeat(_ number: Int) throws(Violation) {
        queue.plan(in: SimulatedCluster.heartbeatMicroseconds, .heartbeat(broker: number))
        let broker = brokers[number]
        guard case .alive(let epoch) = broker.state else { return }
        guard !clientCuts[Int(broker.target.rawValue) - 1], let process = node(broker.target).running else {
            brokers[number].target = someMember()
            return
        }
        let token = RequestToken(
            connection: SimulatedCluster.brokerConnections + UInt64(number), request: queue.now)
        let now = node(broker.target).clock.milliseconds(at: queue.now)
        try turn(broker.target, process.life) {
            $0.heartbeat(broker: broker.id, epoch: epoch, wantsFence: false, token: token, now: now)
        }
        guard let replaced = broker.replacedEpoch, let process = node(broker.target).running else { return }
        // The process that was replaced goes on as if nothing had happened.
        let other = RequestToken(
            connection: SimulatedCluster.replacedConnections + UInt64(number), request: queue.now)
        try turn(broker.target, process.life) {
            $0.heartbeat(broker: broker.id, epoch: replaced, wantsFence: false, token: other, now: now)
        }
    }

    func answerHeartbeat(_ token: RequestToken, from id: NodeID, _ reply: HeartbeatReply) {
        if token.connection >= SimulatedCluster.replacedConnections {
            let number = Int(token.connection - SimulatedCluster.replacedConnections)
            switch reply {
            // A leader that has not applied the new registration yet knows no better.
            case .accepted, .notLeader: break
            case .unknownBroker:
                report.reached(.brokerUnknown)
                brokers[number].replacedEpoch = nil
            }
            return
        }
        guard !clientCuts[Int(id.rawValue) - 1] else { return }
        queue.plan(
            in: draw(&clientGenerator, 100, 1_500),
            .heartbeatAnswered(
                broker: Int(token.connection - SimulatedCluster.brokerConnections), sent: token.request, reply))
    }

    func heartbeatAnswered(_ number: Int, _ sent: UInt64, _ reply: HeartbeatReply) {
        guard case .alive = brokers[number].state else { return }
        switch reply {
        case .accepted:
            brokers[number].lastAccepted = max(brokers[number].lastAccepted, sent)
        case .notLeader(let leader):
            brokers[number].target = leader ?? someMember()
        case .unknownBroker:
            report.reached(.brokerUnknown)
            brokers[number].state = .unregistered
        }
    }

    /// Returns false when it says nothing already.
    func silenceBroker(_ number: Int, for span: UInt64) -> Bool {
        guard case .alive = brokers[number].state else { return false }
        brokers[number].state = .silent
        queue.plan(in: span, .lift(.broker(number)))
        return true
    }

    /// It comes back as another process.
    func wakeBroker(_ number: Int) {
        guard case .silent = brokers[number].state else { return }
        brokers[number].incarnation += 1
        brokers[number].state = .unregistered
    }
}
