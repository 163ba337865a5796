import Foundation
import MetadataClient
import MetadataModel
import RaftCore
import Synchronization

/// Clients that write, read and watch without pause, and record everything. Registers, names and values are used in one round
/// only, so that what one round did need not be known to judge the next.
final class Workload: Sendable {
    struct Options: Sendable {
        var clients = 3
        /// Each does one thing after the other.
        var writersPerClient = 2
        var registers = 6
        /// Between two calls of a lane, drawn anew each time.
        var pauseMilliseconds = 5...25
        /// Reads through this node are asked to be stale and recorded as if they had not been: a planted fault.
        var readsStale: Int?
    }

    /// The configuration key that makes a topic a register.
    static let key = "user.value"

    let recorder: HistoryRecorder
    let prefix: String
    let registers: [String]
    /// Everything that is recorded happened after this version.
    let base: Version

    private let options: Options
    private let seed: UInt64
    private let clients: [MetadataClient]
    private let nodeReaders: [NodeReader]
    private let watchers: [Watcher]
    private let isStopping = Mutex(false)
    private let running = Mutex<[Task<Void, Never>]>([])

    /// Creates the registers, with a first value each; nothing else happens before `start`.
    ///
    /// - Parameters:
    ///   - clients: each with a session of its own; they are not closed here.
    ///   - nodes: where to ask each node directly.
    init(
        prefix: String, seed: UInt64, clients: [MetadataClient], nodes: [(id: Int, endpoint: MetadataClient.Endpoint)],
        options: Options = Options(), clock: RunClock
    ) async throws {
        self.prefix = prefix
        self.options = options
        self.seed = seed
        self.clients = clients
        let recorder = HistoryRecorder(clock: clock)
        self.recorder = recorder
        let registers = (0..<options.registers).map { "\(prefix)-r\($0)" }
        self.registers = registers
        base = try await clients[0].summary(timeout: .seconds(20)).version
        nodeReaders = nodes.map { node in
            NodeReader(
                node: node.id, endpoint: node.endpoint, registers: registers, recorder: recorder,
                consistency: options.readsStale == node.id ? .stale(maxLagMilliseconds: 3_600_000) : .linearizable,
                seed: seed)
        }
        watchers = clients.enumerated().map { number, client in
            // One of them wants to hear of one register only.
            let prefixes = number == 0 ? [] : [registers[0]]
            return Watcher(
                name: "\(prefix)-w\(number)", client: client, filter: WatchFilter(topicPrefixes: prefixes),
                recorder: recorder)
        }
        for register in registers {
            // Tried until it is there: there may be no leader yet.
            let created = await recorder.record(.createTopic(register), by: 0) {
                let topic = try await clients[0].createTopic(
                    name: register, partitions: 1, replicationFactor: 1, timeout: .seconds(20))
                return .done(topic.version)
            }
            guard case .done = created else {
                throw LocalCluster.HarnessFailure(description: "register \(register) was not created: \(created)")
            }
            await write(register, "\(register)=first", clients[0], lane: 0)
        }
    }

    func start() {
        for watcher in watchers { watcher.start(after: base) }
        for reader in nodeReaders { reader.start() }
        var tasks: [Task<Void, Never>] = []
        for (number, client) in clients.enumerated() {
            for writer in 0..<options.writersPerClient {
                let lane = 10 * (number + 1) + writer
                tasks.append(Task { await self.mix(client, lane: lane) })
            }
            let lane = 10 * (number + 1) + 9
            tasks.append(Task { await self.readAtAnyAge(client, lane: lane) })
        }
        running.withLock { $0 = tasks }
    }

    /// Waits for what is under way. The watchers go on until `end`.
    func stop() async {
        isStopping.withLock { $0 = true }
        for task in running.withLock({ $0 }) { await task.value }
        for reader in nodeReaders { await reader.stop() }
    }

    /// Waits until every watch has been told of everything up to a version, or has had the time for it.
    func endWatches(at version: Version, within patience: Duration = .seconds(15)) async {
        let deadline = ContinuousClock.now + patience
        while watchers.contains(where: { $0.position < version }), ContinuousClock.now < deadline {
            // Cut short, it only ends earlier.
            try? await Task.sleep(for: .milliseconds(20))
        }
        for watcher in watchers { await watcher.stop() }
    }

    // MARK: Lanes

    private var goesOn: Bool { !isStopping.withLock { $0 } }

    private func pause(_ random: inout SeededGenerator) async {
        let range = options.pauseMilliseconds
        let milliseconds = range.lowerBound + random.below(range.count)
        try? await Task.sleep(for: .milliseconds(milliseconds))
    }

    /// Writes, conditional writes, topics that come and go, and reads between them.
    private func mix(_ client: MetadataClient, lane: Int) async {
        var random = SeededGenerator(seed: seed, stream: UInt64(lane))
        var number = 0
        var topic: String?
        while goesOn {
            number += 1
            let register = registers[random.below(registers.count)]
            switch random.below(10) {
            case 0...3: await write(register, "\(register)=\(lane).\(number)", client, lane: lane)
            case 4, 5:
                guard case .value(let value?, let version) = await read(register, client, lane: lane) else { break }
                let next = "\(register)=\(lane).\(number)"
                await recorder.record(.replace(register, expected: value, value: next), by: lane) {
                    .done(
                        try await client.alterConfigs(
                            .topic(.name(register)), changes: [ConfigChange(name: Workload.key, value: next)],
                            ifVersion: version))
                }
            case 6:
                if let name = topic {
                    topic = nil
                    await recorder.record(.removeTopic(name), by: lane) {
                        .done(try await client.deleteTopic(.name(name)))
                    }
                } else {
                    let name = "\(prefix)-t\(lane)-\(number)"
                    let ending = await recorder.record(.createTopic(name), by: lane) {
                        .done(try await client.createTopic(name: name, partitions: 1, replicationFactor: 1).version)
                    }
                    // Every third stays, and so does one of which nobody knows.
                    if case .done = ending, number % 3 > 0 { topic = name }
                }
            default: await read(register, client, lane: lane)
            }
            await pause(&random)
        }
    }

    private func write(_ register: String, _ value: String, _ client: MetadataClient, lane: Int) async {
        await recorder.record(.write(register, value: value), by: lane) {
            .done(
                try await client.alterConfigs(
                    .topic(.name(register)), changes: [ConfigChange(name: Workload.key, value: value)]))
        }
    }

    @discardableResult
    private func read(_ register: String, _ client: MetadataClient, lane: Int) async -> RecordedCall.Ending {
        await recorder.record(.read(register), by: lane) {
            let entries = try await client.configs(of: .topic(.name(register)))
            let entry = entries.first { $0.name == Workload.key }
            return .value(entry?.value, entry?.version ?? .zero)
        }
    }

    /// What is not linearizable, and the version of everything.
    private func readAtAnyAge(_ client: MetadataClient, lane: Int) async {
        var random = SeededGenerator(seed: seed, stream: UInt64(lane))
        var seen = base
        while goesOn {
            let consistency: ReadConsistency
            switch random.below(4) {
            case 0: consistency = .linearizable
            case 1: consistency = .atLeast(seen)
            case 2: consistency = .stale(maxLagMilliseconds: 10_000)
            default:
                let register = registers[random.below(registers.count)]
                await recorder.record(.staleRead(register), by: lane) {
                    let entries = try await client.configs(
                        of: .topic(.name(register)), consistency: .stale(maxLagMilliseconds: 10_000))
                    let entry = entries.first { $0.name == Workload.key }
                    return .value(entry?.value, entry?.version ?? .zero)
                }
                await pause(&random)
                continue
            }
            let ending = await recorder.record(.readVersion(consistency), by: lane) {
                .version(try await client.summary(consistency: consistency).version)
            }
            if case .version(let version) = ending { seen = max(seen, version) }
            await pause(&random)
        }
    }
}
