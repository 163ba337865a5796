internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

/// A whole cluster with its clients, network, disks and clock in one thread, decided by one seed. It runs the `Replica` that
/// `metad` runs; the state machine is the reference in memory.
package struct SimulatedCluster {
    private enum Event {
        case tick(NodeID, life: UInt64)
        case deliver(Message)
        case synced(NodeID, life: UInt64, sequence: UInt64)
        case applied(NodeID, life: UInt64, [Entry])
        case checkpointed(NodeID, life: UInt64, MachineImage)
        case snapshotArrives(from: NodeID, to: NodeID, term: Term, MachineImage)
        case snapshotFailed(from: NodeID, life: UInt64, to: NodeID)
        case snapshotInstalled(NodeID, life: UInt64, IncomingSnapshot, MachineImage)
        case request(client: Int, attempt: UInt64, NodeID)
        case response(client: Int, attempt: UInt64, Response)
        case timeout(client: Int, attempt: UInt64)
        case nextOperation(client: Int)
        case fault
    }

    private enum Response {
        case outcome(CommandOutcome)
        case value(String?)
        case tryElsewhere(NodeID?)
    }

    private static let tickMicroseconds: UInt64 = 20_000
    private static let electionTimeoutTicks: UInt64 = 10
    /// Once all is well, so long may nobody lead.
    private static let leaderlessMicroseconds: UInt64 = 2_000_000
    private static let attemptMicroseconds: UInt64 = 250_000
    private static let brokers = 3

    private let options: SimulationOptions
    private var generator: SeededGenerator
    private var faults: FaultMix
    private var queue = EventQueue<Event>()
    private var nodes: [SimulatedNode] = []
    private var clients: [SimulatedClient] = []
    private var cut: Set<Link> = []
    private var snapshotsOnDisk: [UInt64: MachineImage] = [:]
    private var lastSnapshotID: UInt64 = 0
    private var raft = RaftObserver(
        electionTimeoutMicroseconds: electionTimeoutTicks * tickMicroseconds, slackMicroseconds: tickMicroseconds)
    private var observer = ClientObserver()
    private var report: SimulationReport
    private var isHealing = false
    /// Watches once the cluster is healed.
    private var leaderless: LeaderlessChecker?
    private let configuration: Configuration

    private struct Link: Hashable {
        var from: NodeID
        var to: NodeID
    }

    private init(seed: UInt64, options: SimulationOptions) {
        self.options = options
        generator = SeededGenerator(seed: seed)
        faults = FaultMix(&generator)
        report = SimulationReport(seed: seed)
        let ids = (1...options.nodes).map { NodeID(UInt64($0)) }
        let configuration = Configuration(
            voters: ids.map { Member(id: $0, disk: .unknown, peerAddress: "node\($0):1", clientAddress: "node\($0):2") }
        )
        self.configuration = configuration
        let first = Entry(
            term: Term(1), index: LogIndex(1), kind: .configuration, payload: configuration.encoded())
        for id in ids {
            let empty = MachineImage(
                machine: Machine(storage: ReferenceStorage()), applied: .zero, configuration: .empty)
            nodes.append(
                SimulatedNode(id: id, disk: SimulatedDisk(formattedWith: first), database: empty, checkpoint: empty))
        }
        for number in 0..<options.clients {
            var client = SimulatedClient(id: UInt64(number), target: ids[number % ids.count])
            if number == 0 {
                client.setup = (0..<SimulatedCluster.brokers).map { .registerBroker(BrokerID(Int32($0))) }
            }
            clients.append(client)
        }
    }

    /// Runs one seed to its end.
    package static func run(seed: UInt64, options: SimulationOptions = .init()) throws(Violation) -> SimulationReport {
        var cluster = SimulatedCluster(seed: seed, options: options)
        try cluster.run()
        return cluster.report
    }

    private mutating func run() throws(Violation) {
        for position in nodes.indices { try start(position) }
        for position in clients.indices {
            queue.plan(in: 1_000 * UInt64(position + 1), .nextOperation(client: position))
        }
        queue.plan(in: draw(50_000, 500_000), .fault)
        try proceed(until: options.faultyMilliseconds * 1_000)
        try heal()
        try proceed(until: (options.faultyMilliseconds + options.recoveryMilliseconds) * 1_000)
        try judge()
        report.simulatedMilliseconds = queue.now / 1_000
        report.acknowledgedWrites = observer.acknowledgedWrites
        report.reads = observer.reads
    }

    private mutating func proceed(until end: UInt64) throws(Violation) {
        while let event = queue.next(before: end) {
            report.events += 1
            report.note(queue.now)
            try handle(event)
        }
    }

    /// Somebody leads in the latest term that anybody alive has seen.
    private var hasLeader: Bool {
        let alive = nodes.compactMap { $0.replica?.status }
        let latest = alive.map(\.term).max()
        return alive.contains { $0.role == .leader && $0.term == latest }
    }

    // MARK: Events

    private mutating func handle(_ event: Event) throws(Violation) {
        switch event {
        case .tick(let id, let life):
            let now = queue.now / 1_000
            try withLiving(id, life) { $0.tick(now: now) }
            if isAlive(id, life) { queue.plan(in: SimulatedCluster.tickMicroseconds, .tick(id, life: life)) }
            if isHealing {
                let hasLeader = hasLeader
                try leaderless?.observes(hasLeader: hasLeader, at: queue.now)
            }
        case .deliver(let message):
            let position = position(of: message.to)
            guard let core = nodes[position].replica?.core else { return }
            raft.receives(message, core, at: queue.now)
            let now = queue.now / 1_000
            try withLiving(message.to, nodes[position].life) { $0.receive([message], now: now) }
        case .synced(let id, let life, let sequence):
            guard isAlive(id, life) else { return }
            nodes[position(of: id)].disk.synced(sequence)
            try withLiving(id, life) { $0.persisted(sequence) }
        case .applied(let id, let life, let entries):
            guard isAlive(id, life) else { return }
            let position = position(of: id)
            let applied = try nodes[position].database.apply(entries, observer: &observer)
            try raft.applies(entries, digest: nodes[position].database.digest, on: id)
            try withLiving(id, life) { $0.applied(applied) }
        case .checkpointed(let id, let life, let image):
            guard isAlive(id, life) else { return }
            nodes[position(of: id)].checkpoint = image
            try withLiving(id, life) { $0.checkpointed(image.applied) }
        case .snapshotArrives(let from, let to, let term, let image):
            try snapshotArrives(from: from, to: to, term: term, image)
        case .snapshotFailed(let from, let life, let to):
            try withLiving(from, life) { $0.snapshotSent(to: to, succeeded: false) }
        case .snapshotInstalled(let id, let life, let snapshot, let image):
            try snapshotInstalled(id, life, snapshot, image)
        case .request(let client, let attempt, let target):
            try requestArrives(client, attempt, target)
        case .response(let client, let attempt, let response):
            try responseArrives(client, attempt, response)
        case .timeout(let client, let attempt):
            guard clients[client].attempt == attempt, clients[client].operation != nil else { return }
            clients[client].target = nodes[generator.below(nodes.count)].id
            send(client)
        case .nextOperation(let client):
            beginOperation(client)
        case .fault:
            try strike()
        }
    }

    private func position(of id: NodeID) -> Int { Int(id.rawValue) - 1 }

    private func isAlive(_ id: NodeID, _ life: UInt64) -> Bool {
        let node = nodes[position(of: id)]
        return node.replica != nil && node.life == life
    }

    /// One input for a running replica, then the end of its turn.
    private mutating func withLiving(
        _ id: NodeID, _ life: UInt64, _ input: (inout Replica) -> Void
    ) throws(Violation) {
        guard isAlive(id, life) else { return }
        let position = position(of: id)
        guard var replica = nodes[position].replica.take() else { return }
        input(&replica)
        let effects = replica.takeEffects()
        replica.checkInvariants()
        try observe(replica, effects)
        nodes[position].replica = replica
        for effect in effects { try perform(effect, position) }
    }

    private mutating func observe(_ replica: Replica, _ effects: [Effect]) throws(Violation) {
        let nodes = nodes
        let writes = effects.compactMap { if case .persist(let write) = $0 { write } else { nil } }
        try raft.turnEnds(replica.core, writes: writes, at: queue.now) { position in
            // What a disk has let go of is in its database.
            let holders = nodes.filter {
                $0.disk.term(at: position.index) == position.term || $0.checkpoint.applied.index >= position.index
            }
            return Set(holders.map(\.id))
        }
    }

    // MARK: Effects

    private mutating func perform(_ effect: Effect, _ position: Int) throws(Violation) {
        let node = nodes[position]
        switch effect {
        case .persist(let persist):
            nodes[position].disk.write(persist)
            var delay = draw(50, 1_000)
            if happens(faults.slowSyncPerMille) {
                delay = draw(20_000, 400_000)
                report.slowSyncs += 1
            }
            // Syncs end in the order in which they were asked for.
            let end = max(node.diskIsFreeAt, queue.now) + delay
            nodes[position].diskIsFreeAt = end
            queue.plan(in: end - queue.now, .synced(node.id, life: node.life, sequence: persist.sequence))
        case .send(let messages):
            guard let core = node.replica?.core else { return }
            for message in messages {
                try raft.sends(
                    message, core, durable: node.disk.hardState,
                    durableIndex: max(node.disk.last.index, node.checkpoint.applied.index)
                ) { [nodes] in nodes[Int($0.rawValue) - 1].disk.last }
                transmit(message)
            }
        case .apply(let entries):
            queue.plan(in: draw(50, 2_000), .applied(node.id, life: node.life, entries))
        case .replyWrite(let token, let reply):
            respond(token, from: node.id, response(to: reply))
        case .serveReads(let tokens):
            for token in tokens {
                guard let operation = nodes[position].queries.removeValue(forKey: token) else { continue }
                respond(token, from: node.id, .value(value(operation, in: node.database)))
            }
        case .refuseReads(let tokens, _):
            for token in tokens {
                nodes[position].queries[token] = nil
                respond(token, from: node.id, .tryElsewhere(nil))
            }
        case .replyHeartbeat, .replyMembership, .configurationChanged:
            break
        case .checkpoint:
            queue.plan(in: draw(500, 20_000), .checkpointed(node.id, life: node.life, node.database))
        case .compactLog(let cut):
            nodes[position].disk.compact(to: cut, configuration: node.checkpoint.configuration)
        case .sendSnapshot(let peer):
            sendSnapshot(position, to: peer)
        case .installSnapshot(let snapshot):
            guard let image = snapshotsOnDisk.removeValue(forKey: snapshot.id) else {
                preconditionFailure("snapshot \(snapshot.id) is not on the disk")
            }
            queue.plan(
                in: draw(500, 20_000), .snapshotInstalled(node.id, life: node.life, snapshot, image))
        case .discardSnapshot(let snapshot):
            snapshotsOnDisk[snapshot.id] = nil
        case .notify, .repair, .recovered, .protection:
            // Neither damage nor notices are simulated here.
            break
        case .statusChanged(let status):
            guard status.role == .leader, let core = node.replica?.core else { return }
            report.elections += 1
            report.note(status.term.rawValue << 8 | node.id.rawValue)
            try raft.leads(core)
        }
    }

    private mutating func transmit(_ message: Message) {
        guard !cut.contains(Link(from: message.from, to: message.to)), !happens(faults.dropPerMille) else {
            report.messagesDropped += 1
            return
        }
        queue.plan(in: draw(100, faults.delayMicrosecondsMax), .deliver(message))
        if happens(faults.duplicatePerMille) {
            report.messagesDuplicated += 1
            queue.plan(in: draw(100, faults.delayMicrosecondsMax * 4), .deliver(message))
        }
    }

    // MARK: Snapshots

    private mutating func sendSnapshot(_ position: Int, to peer: NodeID) {
        let node = nodes[position]
        guard let term = node.replica?.status.term else { return }
        report.snapshots += 1
        if cut.contains(Link(from: node.id, to: peer)) || happens(faults.dropPerMille * 2) {
            queue.plan(in: draw(50_000, 300_000), .snapshotFailed(from: node.id, life: node.life, to: peer))
        } else {
            queue.plan(
                in: draw(5_000, 100_000), .snapshotArrives(from: node.id, to: peer, term: term, node.database))
        }
    }

    private mutating func snapshotArrives(
        from: NodeID, to: NodeID, term: Term, _ image: MachineImage
    ) throws(Violation) {
        let position = position(of: to)
        if nodes[position].replica != nil {
            lastSnapshotID += 1
            let id = lastSnapshotID
            snapshotsOnDisk[id] = image
            try withLiving(to, nodes[position].life) {
                $0.snapshotReceived(
                    IncomingSnapshot(
                        id: id, from: from, term: term, position: image.applied, configuration: image.configuration))
            }
        }
        let sender = self.position(of: from)
        try withLiving(from, nodes[sender].life) { $0.snapshotSent(to: to, succeeded: true) }
    }

    private mutating func snapshotInstalled(
        _ id: NodeID, _ life: UInt64, _ snapshot: IncomingSnapshot, _ image: MachineImage
    ) throws(Violation) {
        guard isAlive(id, life) else { return }
        let position = position(of: id)
        // Durable at once, before the log knows: a crash from here on finds the database ahead.
        nodes[position].database = image
        nodes[position].checkpoint = image
        try raft.installs(at: image.applied.index, digest: image.digest, on: id)
        try withLiving(id, life) { $0.snapshotInstalled(image.image) }
    }

    // MARK: Processes

    private mutating func start(_ position: Int) throws(Violation) {
        var node = nodes[position]
        node.life += 1
        node.database = node.checkpoint
        node.queries = [:]
        node.diskIsFreeAt = queue.now
        let applied = node.checkpoint.applied
        switch LogFit(base: node.disk.base, entries: node.disk.entries, applied: applied) {
        case .fits: break
        case .mustBeginAnew: node.disk.reset(to: applied, configuration: node.checkpoint.configuration)
        case .entriesAreMissing:
            preconditionFailure("node \(node.id): log at \(node.disk.base), database at \(applied)")
        }
        let restored = RestoredState(
            hardState: node.disk.hardState, base: node.disk.base, entries: node.disk.entries,
            applied: applied.index, configuration: node.disk.baseConfiguration)
        node.replica = Replica(
            id: node.id, disk: disk(of: node.id), options: replicaOptions, restored: restored,
            image: node.checkpoint.image,
            now: queue.now / 1_000, seed: generator.next())
        for other in nodes where other.id != node.id { node.replica?.introduced(other.id, disk: disk(of: other.id)) }
        nodes[position] = node
        try raft.starts(node.id, durable: node.disk.hardState, applied: applied.index)
        queue.plan(in: draw(0, Int(SimulatedCluster.tickMicroseconds)), .tick(node.id, life: node.life))
    }

    private func disk(of id: NodeID) -> DiskID { DiskID(high: 7, low: id.rawValue) }

    private var replicaOptions: ReplicaOptions {
        ReplicaOptions(
            raft: Options(
                electionTimeoutTicks: Int(SimulatedCluster.electionTimeoutTicks), heartbeatTicks: 2,
                inflightMessagesMax: 8),
            logEntriesMax: faults.isLogShort ? 40 : 100_000, checkpointBytes: faults.isLogShort ? 4_000 : 40_000,
            applyEntriesMax: 16, sessionSweepMilliseconds: 1_000, readWaitMilliseconds: 500)
    }

    private mutating func crash(_ position: Int) {
        report.crashes += 1
        nodes[position].replica = nil
        nodes[position].life += 1
        nodes[position].disk.crash(&generator)
    }

    // MARK: Faults

    private mutating func strike() throws(Violation) {
        guard !isHealing else { return }
        queue.plan(in: draw(50_000, 800_000), .fault)
        if let down = nodes.indices.first(where: { nodes[$0].replica == nil }), generator.below(2) == 0 {
            try start(down)
            return
        }
        if faults.crashes, generator.below(2) == 0 {
            // Now and then everything loses power at once.
            if generator.below(12) == 0 {
                for position in nodes.indices where nodes[position].replica != nil { crash(position) }
            } else {
                let victim = generator.below(nodes.count)
                if nodes[victim].replica != nil { crash(victim) }
            }
            return
        }
        if faults.partitions { partition() }
    }

    private mutating func partition() {
        cut = []
        guard generator.below(3) > 0 else { return }
        report.partitions += 1
        let ids = nodes.map(\.id)
        switch generator.below(4) {
        case 0:
            // One against all.
            let alone = ids[generator.below(ids.count)]
            for other in ids where other != alone { block(alone, other) }
        case 1:
            // Two sides.
            let side = Set(ids.filter { _ in generator.below(2) == 0 })
            for one in ids where side.contains(one) {
                for other in ids where !side.contains(other) { block(one, other) }
            }
        case 2:
            // One direction only.
            let deaf = ids[generator.below(ids.count)]
            for other in ids where other != deaf { cut.insert(Link(from: other, to: deaf)) }
        default:
            // A ring: each hears its neighbours only.
            for (place, one) in ids.enumerated() {
                for (otherPlace, other) in ids.enumerated() where one < other {
                    let distance = abs(place - otherPlace)
                    if distance > 1, distance < ids.count - 1 { block(one, other) }
                }
            }
        }
    }

    private mutating func block(_ one: NodeID, _ other: NodeID) {
        cut.insert(Link(from: one, to: other))
        cut.insert(Link(from: other, to: one))
    }

    /// From here on nothing goes wrong any more; whoever is down comes back.
    private mutating func heal() throws(Violation) {
        isHealing = true
        leaderless = LeaderlessChecker(
            boundMicroseconds: SimulatedCluster.leaderlessMicroseconds, start: queue.now)
        cut = []
        let isLogShort = faults.isLogShort
        faults = .none
        faults.isLogShort = isLogShort
        for position in nodes.indices where nodes[position].replica == nil { try start(position) }
    }

    /// The end: everyone has finished, and all members have the same state.
    private func judge() throws(Violation) {
        for client in clients where client.operation != nil {
            throw Violation(rule: "progress", detail: "client \(client.id) still waits after the cluster was healed")
        }
        guard let leader = nodes.first(where: { $0.replica?.isLeader == true }) else {
            throw Violation(rule: "progress", detail: "no leader after the cluster was healed")
        }
        for node in nodes where node.database.applied.index.rawValue + 20 < leader.database.applied.index.rawValue {
            throw Violation(
                rule: "progress",
                detail: "node \(node.id) is at \(node.database.applied), the leader at \(leader.database.applied)")
        }
        try observer.judgeHistories()
        let last = nodes.map(\.database.applied.index).max()
        for node in nodes {
            let image = node.database
            let rows = image.machine.storage.digest() &+ image.machine.sessions.digest
            try raft.scrubs(kept: image.digest, rows: rows, at: image.applied.index, on: node.id)
            guard image.applied.index == last else { continue }
            try observer.judge(image.machine.storage, on: node.id)
        }
    }

    // MARK: Clients

    private mutating func beginOperation(_ number: Int) {
        guard clients[number].operation == nil, !isHealing else { return }
        if clients[number].session == nil {
            clients[number].begin(.openSession)
        } else if !clients[number].setup.isEmpty {
            clients[number].begin(clients[number].setup.removeFirst())
        } else {
            switch generator.below(3) {
            case 0:
                clients[number].created += 1
                let name = "topic-\(number)-\(clients[number].created)"
                observer.sendsTopic(name)
                clients[number].begin(.createTopic(name))
            case 1:
                clients[number].written += 1
                let register = clients[generator.below(clients.count)].register
                let value = clients[number].written * clients.count + number
                clients[number].call = observer.invokes(
                    .write("\(value)"), of: register, by: clients[number].id, at: queue.now)
                clients[number].begin(.write(register: register, value))
            default:
                let register = clients[generator.below(clients.count)].register
                clients[number].call = observer.invokes(.read, of: register, by: clients[number].id, at: queue.now)
                clients[number].begin(.read(register: register))
            }
        }
        send(number)
    }

    private mutating func send(_ number: Int) {
        clients[number].attempt += 1
        let attempt = clients[number].attempt
        queue.plan(in: draw(100, 2_000), .request(client: number, attempt: attempt, clients[number].target))
        queue.plan(in: SimulatedCluster.attemptMicroseconds, .timeout(client: number, attempt: attempt))
    }

    private mutating func requestArrives(_ number: Int, _ attempt: UInt64, _ target: NodeID) throws(Violation) {
        guard clients[number].attempt == attempt, let operation = clients[number].operation else { return }
        let position = position(of: target)
        let token = RequestToken(connection: UInt64(number), request: attempt)
        if let intent = clients[number].intent {
            try withLiving(target, nodes[position].life) { $0.write(intent, token: token) }
        } else {
            guard nodes[position].replica != nil else { return }
            nodes[position].queries[token] = operation
            try withLiving(target, nodes[position].life) { $0.read(.linearizable, token: token) }
        }
    }

    private mutating func respond(_ token: RequestToken, from node: NodeID, _ response: Response) {
        guard !happens(faults.dropPerMille) else { return }
        queue.plan(
            in: draw(100, 2_000), .response(client: Int(token.connection), attempt: token.request, response))
    }

    private func response(to reply: WriteReply) -> Response {
        switch reply {
        case .outcome(let outcome): .outcome(outcome)
        case .notLeader(let leader), .leadershipLost(let leader): .tryElsewhere(leader)
        case .overloaded, .diskFull: .tryElsewhere(nil)
        }
    }

    private func value(_ operation: SimulatedClient.Operation, in image: MachineImage) -> String? {
        guard case .read(let register) = operation else { return nil }
        return image.machine.storage.config(.cluster, name: register)?.value
    }

    private mutating func responseArrives(_ number: Int, _ attempt: UInt64, _ response: Response) throws(Violation) {
        guard clients[number].attempt == attempt, let operation = clients[number].operation else { return }
        switch response {
        case .tryElsewhere(let leader):
            // The time-out of this attempt sends it again; a hint saves the wait.
            guard let leader, leader != clients[number].target else { return }
            clients[number].target = leader
            send(number)
            return
        case .value(let value):
            guard case .read = operation, let call = clients[number].call else { return }
            observer.returns(call, .value(value), at: queue.now)
        case .outcome(let outcome):
            if let session = clients[number].session {
                try observer.isAnswered(session, clients[number].sequence, outcome)
            }
            try finished(number, operation, outcome)
        }
        clients[number].operation = nil
        queue.plan(in: draw(1_000, 40_000), .nextOperation(client: number))
    }

    private mutating func finished(
        _ number: Int, _ operation: SimulatedClient.Operation, _ outcome: CommandOutcome
    ) throws(Violation) {
        switch (operation, outcome) {
        case (.openSession, .done(.session(let session))):
            clients[number].session = session
        case (.registerBroker(let broker), .done(.registered(let epoch, _))):
            clients[number].setup.insert(.unfenceBroker(broker, epoch), at: 0)
        case (.unfenceBroker, .done):
            break
        case (.createTopic(let name), .done(.topic(let topic))) where topic.name == name:
            observer.acknowledgesTopic(name)
        case (.createTopic, .refused(let refusal)) where refusal.reason == .notEnoughBrokers:
            // Another client began before the brokers were there.
            break
        case (.write, .done):
            if let call = clients[number].call { observer.returns(call, .done, at: queue.now) }
        case (.openSession, _), (.registerBroker, _), (.unfenceBroker, _), (.createTopic, _), (.write, _), (.read, _):
            throw Violation(rule: "one effect, one answer", detail: "\(operation) was answered with \(outcome)")
        }
    }

    // MARK: Chance

    private mutating func draw(_ low: Int, _ high: Int) -> UInt64 {
        precondition(low <= high, "an empty range: \(low) to \(high)")
        return UInt64(low + generator.below(high - low + 1))
    }

    private mutating func happens(_ perMille: Int) -> Bool { perMille > 0 && generator.below(1_000) < perMille }
}
