internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

/// What clients ask for, and what they do with the answers.
extension SimulatedCluster {
    private static let attemptMicroseconds: UInt64 = 250_000
    /// Every so many topics of a slot one stays.
    private static let topicsPerLasting = 6

    func startClients() {
        for client in clients.indices {
            for number in clients[client].slots.indices {
                queue.plan(
                    in: draw(&clientGenerator, 1_000, 20_000), .nextOperation(Lane(client: client, number: number)))
            }
            if clients[client].watch != nil { queue.plan(in: 50_000, .watch(client: client)) }
        }
    }

    func slot(_ lane: Lane) -> SimulatedClient.Slot { clients[lane.client].slots[lane.number] }

    func beginOperation(_ lane: Lane) {
        guard slot(lane).operation == nil, maySend else { return }
        guard let operation = nextOperation(lane) else {
            queue.plan(in: 20_000, .nextOperation(lane))
            return
        }
        clients[lane.client].slots[lane.number].operation = operation
        clients[lane.client].slots[lane.number].begun = queue.now
        switch operation {
        case .openSession:
            clients[lane.client].isOpening = true
        case .registerBroker, .createTopic, .deleteTopic, .administer, .write:
            clients[lane.client].slots[lane.number].session = clients[lane.client].session
            clients[lane.client].slots[lane.number].sequence = clients[lane.client].sequence
            clients[lane.client].sequence += 1
        case .readRegister, .readTopic, .readSummary:
            break
        }
        record(operation, lane)
        send(lane)
    }

    /// Nil when there is nothing to do before the session is open.
    private func nextOperation(_ lane: Lane) -> SimulatedClient.Operation? {
        let client = clients[lane.client]
        guard client.session != nil else { return client.isOpening ? nil : .openSession }
        if lane.client == 0, lane.number == 0, let broker = brokerToRegister() { return broker }
        let slot = client.slots[lane.number]
        if options.load == nil, clientGenerator.below(6) == 0, let command = administration(by: lane.client) {
            return .administer(command)
        }
        let register = registers[clientGenerator.below(registers.count)]
        switch clientGenerator.below(10) {
        case 0, 1:
            if let topic = slot.topic, slot.count % SimulatedCluster.topicsPerLasting > 0 {
                clients[lane.client].slots[lane.number].topic = nil
                return .deleteTopic(topic)
            }
            clients[lane.client].slots[lane.number].count += 1
            let name = "t-\(lane.client)-\(lane.number)-\(slot.count + 1)"
            let id = TopicID(
                high: UInt64(lane.client) + 1, low: UInt64(lane.number) << 32 | UInt64(slot.count + 1))
            return .createTopic(creation(named: name, id: id))
        case 2, 3, 4, 5:
            return .write(register: register, "\(lane.client).\(lane.number).\(queue.now)")
        case 6:
            if let topic = slot.topic { return .readTopic(topic, .linearizable) }
            return .readRegister(register, .linearizable)
        case 7:
            return .readSummary(.atLeast(client.seen))
        case 8:
            return .readSummary(.stale(maxLagMilliseconds: UInt64([100, 400, 2_000][clientGenerator.below(3)])))
        default:
            return .readRegister(register, .linearizable)
        }
    }

    /// What the checkers of histories are told. Only linearizable operations have a place in them.
    private func record(_ operation: SimulatedClient.Operation, _ lane: Lane) {
        let id: RunJudge.OperationID?
        switch operation {
        case .createTopic(let creation):
            judge.creates(creation.name)
            id = judge.calls(.write(SimulatedCluster.present), on: creation.name, by: lane, at: queue.now)
        case .deleteTopic(let name):
            judge.removes(name)
            id = judge.calls(.write(nil), on: name, by: lane, at: queue.now)
        case .write(let register, let value):
            id = judge.calls(.write(value), on: register, by: lane, at: queue.now)
        case .readRegister(let name, .linearizable), .readTopic(let name, .linearizable):
            id = judge.calls(.read, on: name, by: lane, at: queue.now)
        case .readRegister, .readTopic, .readSummary, .openSession, .registerBroker, .administer:
            id = nil
        }
        clients[lane.client].slots[lane.number].record = id
    }

    /// The value that stands for a topic that is there.
    private static let present = "there"

    // MARK: Requests

    private func send(_ lane: Lane) {
        clients[lane.client].slots[lane.number].attempt += 1
        let slot = slot(lane)
        if plan.kinds.contains(.lateRequests), let intent = clients[lane.client].intent(slot) {
            mayCopy(intent, to: slot.target)
        }
        queue.plan(
            in: draw(&clientGenerator, 100, 1_500), .request(lane, attempt: slot.attempt, to: slot.target))
        // Where messages are slow, so are clients to give up.
        let patience = max(SimulatedCluster.attemptMicroseconds, 6 * UInt64(plan.delayMicrosecondsMax))
        queue.plan(in: patience, .attemptTimedOut(lane, attempt: slot.attempt))
    }

    func requestArrives(_ lane: Lane, _ attempt: UInt64, _ target: NodeID) throws(Violation) {
        let slot = slot(lane)
        guard slot.attempt == attempt, slot.operation != nil, !clientCuts[Int(target.rawValue) - 1],
            let process = node(target).running
        else { return }
        let token = RequestToken(connection: SimulatedCluster.connection(of: lane), request: attempt)
        if let intent = clients[lane.client].intent(slot) {
            guard Command.startsRebalance(encoded: intent.command) else {
                return try turn(target, process.life) { $0.write(intent, token: token) }
            }
            let now = node(target).clock.milliseconds(at: queue.now)
            try turn(target, process.life) { $0.startRebalance(intent, token: token, now: now) }
            if process.replica.waitsForTurn(token) { report.reached(.rebalanceWaited) }
        } else if let query = clients[lane.client].query(slot), let consistency = slot.operation?.consistency {
            try take(query, consistency, token: token, on: node(target), process)
        }
    }

    private static func connection(of lane: Lane) -> UInt64 { UInt64(lane.client) << 16 | UInt64(lane.number) }
    private static func lane(of connection: UInt64) -> Lane {
        Lane(client: Int(connection >> 16), number: Int(connection & 0xFFFF))
    }

    func attemptTimedOut(_ lane: Lane, _ attempt: UInt64) {
        guard slot(lane).attempt == attempt, slot(lane).operation != nil else { return }
        report.reached(.attemptTimedOut)
        clients[lane.client].slots[lane.number].target = someMember()
        send(lane)
    }

    // MARK: Reads

    /// The replica says that these may be answered; the reader thread does so a moment later.
    func serve(_ tokens: [RequestToken], _ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        let queries = tokens.compactMap { process.queries.removeValue(forKey: $0) }
        guard !queries.isEmpty else { return }
        for served in queries { try judge.serves(served.consistency, on: node.id, clock: node.clock, now: queue.now) }
        queue.plan(in: draw(&diskGenerator, 10, 400), .answer(node.id, life: process.life, queries))
    }

    func answer(_ id: NodeID, _ life: UInt64, _ queries: [ServedQuery]) throws(Violation) {
        guard process(id, life) != nil else { return }
        let node = node(id)
        for served in queries {
            let result: QueryResult
            do throws(StateMachineFailure) {
                result = try node.machine.answer(served.query)
            } catch {
                // As shipped: the requests fail where a lack of resources is the reason, and else the node does.
                guard error.kind == .lack else { return try fails(node, error) }
                continue
            }
            if case .summary(let summary) = result {
                try judge.shows(summary.version, to: served, on: id)
            }
            respond(served.token, from: id, .read(result))
        }
    }

    // MARK: Answers

    func respond(_ token: RequestToken, from id: NodeID, _ answer: Answer) {
        guard token.connection < SimulatedCluster.brokerConnections else { return }
        guard !clientCuts[Int(id.rawValue) - 1] else { return }
        guard !plan.strikes(.lostAnswers) else { return report.happened(.lostAnswers) }
        queue.plan(
            in: draw(&clientGenerator, 100, 1_500),
            .respond(SimulatedCluster.lane(of: token.connection), attempt: token.request, answer))
    }

    func answerArrives(_ lane: Lane, _ attempt: UInt64, _ answer: Answer) throws(Violation) {
        let slot = slot(lane)
        guard slot.attempt == attempt, let operation = slot.operation else { return }
        switch answer {
        case .write(.notLeader(let leader)), .write(.leadershipLost(let leader)):
            // The time-out of this attempt sends it again; a hint saves the wait.
            guard let leader, leader != slot.target else { return }
            clients[lane.client].slots[lane.number].target = leader
            return send(lane)
        case .write(.overloaded), .write(.diskFull), .write(.expired), .refused:
            return
        case .write(.outcome(let outcome)):
            if let session = slot.session, let sequence = slot.sequence {
                try judge.answers(session, sequence, outcome)
            }
            try finished(lane, operation, outcome)
        case .read(let result):
            finished(lane, operation, result)
        }
        let pause = draw(&clientGenerator, 500, plan.pauseMicrosecondsMax)
        clients[lane.client].slots[lane.number].operation = nil
        clients[lane.client].slots[lane.number].record = nil
        clients[lane.client].slots[lane.number].session = nil
        clients[lane.client].slots[lane.number].sequence = nil
        clients[lane.client].slots[lane.number].finished += 1
        clients[lane.client].slots[lane.number].lastFinished = queue.now
        queue.plan(in: pause, .nextOperation(lane))
    }

    private func finished(
        _ lane: Lane, _ operation: SimulatedClient.Operation, _ outcome: CommandOutcome
    ) throws(Violation) {
        if case .refused(let refusal) = outcome {
            switch refusal.reason {
            case .sessionExpired:
                // What became of earlier attempts nobody can tell; the operation stays open in the history.
                report.reached(.sessionExpired)
                if slot(lane).session == clients[lane.client].session {
                    clients[lane.client].session = nil
                    clients[lane.client].sequence = 1
                }
                if case .registerBroker(let broker, _, _) = operation { registrationRefused(broker) }
                return
            case .notEnoughBrokers:
                report.reached(.refusal)
                return withdraw(lane)
            default:
                break
            }
        }
        switch (operation, outcome) {
        case (.openSession, .done(.session(let session))):
            clients[lane.client].session = session
            clients[lane.client].isOpening = false
            clients[lane.client].sequence = 1
        case (.registerBroker(let broker, let incarnation, _), .done(.registered(let epoch, let version))):
            saw(version, lane)
            registered(broker, incarnation, epoch)
        case (.registerBroker(let broker, _, _), .refused(let refusal)) where refusal.reason == .brokerIDInUse:
            // Its earlier process is not fenced yet: later again.
            registrationRefused(broker)
        case (.registerBroker(let broker, _, _?), .refused(let refusal)) where refusal.reason == .staleBrokerEpoch:
            // It was registered, and the answer was lost with a session: it proves nothing any more.
            brokers[Int(broker.rawValue)].provenEpoch = nil
            registrationRefused(broker)
        case (.createTopic(let creation), .done(.topic(let topic))) where topic.name == creation.name:
            report.acknowledgedWrites += 1
            judge.created(topic.name)
            returns(lane, .done)
            saw(topic.version, lane)
            clients[lane.client].slots[lane.number].topic = topic.name
        case (.administer, _):
            // Any answer may be right; whether it was is for the rules of the metadata.
            mark(outcome)
        case (.deleteTopic(let name), .done(let result)):
            report.acknowledgedWrites += 1
            judge.removed(name)
            returns(lane, .done)
            if case .changed(let version) = result { saw(version, lane) }
        case (.write, .done(let result)):
            report.acknowledgedWrites += 1
            returns(lane, .done)
            if case .changed(let version) = result { saw(version, lane) }
        case (.openSession, _), (.registerBroker, _), (.createTopic, _), (.deleteTopic, _), (.write, _),
            (.readRegister, _), (.readTopic, _), (.readSummary, _):
            throw Violation(rule: "one effect, one answer", detail: "\(operation) was answered with \(outcome)")
        }
    }

    private func finished(_ lane: Lane, _ operation: SimulatedClient.Operation, _ result: QueryResult) {
        report.reads += 1
        switch (operation, result) {
        case (.readRegister(let name, .linearizable), .configs(let page)):
            returns(lane, .value(page.items.first { $0.name == name }?.value))
        case (.readTopic(_, .linearizable), .topic):
            returns(lane, .value(SimulatedCluster.present))
        case (.readTopic(_, .linearizable), .notFound):
            returns(lane, .value(nil))
        case (.readSummary, .summary(let summary)):
            saw(summary.version, lane)
        default:
            withdraw(lane)
        }
    }

    private func returns(_ lane: Lane, _ answer: RegisterModel.Answer) {
        guard let record = slot(lane).record else { return }
        judge.returns(record, answer, at: queue.now)
    }

    /// It had no effect.
    private func withdraw(_ lane: Lane) {
        guard let record = slot(lane).record else { return }
        judge.withdraws(record)
    }

    private func saw(_ version: Version, _ lane: Lane) {
        clients[lane.client].seen = max(clients[lane.client].seen, version)
    }
}
