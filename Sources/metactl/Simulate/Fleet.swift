import MetadataClient
import MetadataModel

/// Simulated brokers: each is a `BrokerSession` that does what it is told. They share a client and a cache.
actor Fleet {
    struct Settings: Sendable {
        var ids: ClosedRange<Int32>
        /// Named rack-0 and so on; brokers take turns. 0: none.
        var racks: Int
        var host: String
        var heartbeatInterval: Duration
        /// How long a follower follows before its leader reports it in sync.
        var syncDelay: Duration
        /// What a replica takes on average.
        var replicaBytes: UInt64
        /// How long stopping in order may take.
        var stopTimeout: Duration
    }

    /// What has happened so far.
    struct Counts: Hashable, Sendable {
        var instructions = 0
        var reports = 0
        var refused = 0
    }

    /// Where orders go; they are carried out one after the other.
    nonisolated let orders: AsyncStream<FleetOrder>.Continuation
    private let ordered: AsyncStream<FleetOrder>
    private let client: MetadataClient
    private let cache: MetadataCache
    private let settings: Settings
    private let clock = ContinuousClock()
    private var living: [BrokerID: BrokerSession] = [:]
    private var replicas: FleetReplicas
    private(set) var counts = Counts()
    private var failure: MetadataError?

    /// How often due reports are looked for: a fraction of what people call a delay.
    private static let pulse = Duration.milliseconds(20)
    private static let stopsAtOnce = 50

    init(client: MetadataClient, cache: MetadataCache, settings: Settings) {
        self.client = client
        self.cache = cache
        self.settings = settings
        replicas = FleetReplicas(delay: settings.syncDelay, replicaBytes: settings.replicaBytes)
        (ordered, orders) = AsyncStream.makeStream()
    }

    // MARK: Running

    /// Starts all brokers, carries orders out until `stop`, then stops the brokers in order. Throws what the cluster refused
    /// a broker for, if it did: that stops all.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            let pulse = Task { await report() }
            revive(.all, &group)
            orders: for await order in ordered {
                switch order {
                case .kill(let selection): await kill(selection)
                case .revive(let selection): revive(selection, &group)
                case .stop: break orders
                }
            }
            await stop()
            pulse.cancel()
            await pulse.value
        }
        if let failure { throw failure }
    }

    private func revive(_ selection: FleetOrder.Selection, _ group: inout DiscardingTaskGroup) {
        for number in settings.ids {
            let id = BrokerID(number)
            guard selection.contains(id), living[id] == nil else { continue }
            let port = UInt16(9_000 + Int(number) % 50_000)
            let session = BrokerSession(
                client: client, id: id, endpoints: [Endpoint(name: "PLAINTEXT", host: settings.host, port: port)],
                rack: settings.racks == 0 ? "" : "rack-\(Int(number) % settings.racks)",
                heartbeatInterval: settings.heartbeatInterval, cache: cache, incarnation: .random())
            living[id] = session
            group.addTask { await self.follow(session, id) }
            group.addTask { await self.watch(session, id) }
        }
    }

    private func kill(_ selection: FleetOrder.Selection) async {
        for (id, session) in living.filter({ selection.contains($0.key) }) {
            living[id] = nil
            replicas.died(id)
            await session.abandon()
        }
    }

    /// Some at a time: each asks every few moments whether it may stop. What only one of them has goes offline with it.
    private func stop() async {
        var waiting = living.sorted { $0.key > $1.key }
        await withTaskGroup(of: BrokerID.self) { group in
            var running = 0
            while running > 0 || !waiting.isEmpty {
                while running < Fleet.stopsAtOnce, let (id, session) = waiting.popLast() {
                    running += 1
                    group.addTask { [settings] in
                        await session.shutDown(timeout: settings.stopTimeout)
                        return id
                    }
                }
                if let id = await group.next() { living[id] = nil }
                running -= 1
            }
        }
    }

    // MARK: One broker

    private func follow(_ session: BrokerSession, _ id: BrokerID) async {
        for await assignment in session.assignments {
            counts.instructions += 1
            guard living[id] === session else { return }
            replicas.assigned(id, assignment, now: clock.now)
            session.uses(bytes: replicas.bytes(of: id))
        }
    }

    private func watch(_ session: BrokerSession, _ id: BrokerID) async {
        for await event in session.events {
            guard case .failed(let error) = event else { continue }
            failure = failure ?? error
            orders.yield(.stop)
        }
    }

    /// Has leaders report whoever has caught up, until the task is cancelled.
    private func report() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let image = cache.image
                let due = replicas.takeReports(now: clock.now) { image.broker($0)?.state == .active }
                for (leader, report) in due {
                    guard let session = living[leader] else { continue }
                    var report = report
                    // Whoever dies stops following, so what follows does under its present registration.
                    report.isrEpochs = report.isr.map { image.broker($0)?.epoch ?? BrokerEpoch(0) }
                    group.addTask { [report] in await self.send(report, session) }
                }
                do {
                    try await clock.sleep(for: Fleet.pulse)
                } catch {
                    return
                }
            }
        }
    }

    private func send(_ report: Command.ISRReport, _ session: BrokerSession) async {
        let result = await session.reportISR(report)
        counts.reports += 1
        if case .refused = result { counts.refused += 1 }
        replicas.reported(report, result, now: clock.now)
    }

    // MARK: Queries

    /// What a status line tells.
    func status(at elapsed: Duration) -> FleetReport {
        let image = cache.image
        var report = FleetReport(
            elapsedSeconds: Numbers.rounded(elapsed.inSeconds), brokers: settings.ids.count, alive: living.count,
            instructions: counts.instructions, isrReports: counts.reports, isrRefused: counts.refused,
            partitions: image.partitionCount, version: image.version.rawValue,
            lagMs: cache.lag.map { Numbers.rounded($0.inMilliseconds) })
        for broker in image.brokers where settings.ids.contains(broker.id.rawValue) && broker.state == .active {
            report.active += 1
        }
        image.forEachPartition { partition in
            if partition.leader == nil { report.offline += 1 }
            if partition.isr.count < partition.replicas.count { report.underReplicated += 1 }
            if let leader = partition.leader, living[leader] == nil, settings.ids.contains(leader.rawValue) {
                report.ledByDead += 1
            }
        }
        return report
    }
}
