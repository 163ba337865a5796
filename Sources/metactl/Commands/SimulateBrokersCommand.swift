import ArgumentParser
import Foundation
import MetadataClient
import MetadataModel

struct SimulateBrokersCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-brokers",
        abstract: "Plays many brokers that follow their assignments: a load for demos, tests and benches.",
        discussion: """
            Each registers, sends heartbeats, leads and follows as it is told, and reports followers in sync after \
            --sync-delay; no records move. One line of status a second. Lines on standard input give orders: kill 3, \
            kill 3-8, revive 3, revive all, stop. A killed broker says nothing to the cluster; a revived one is a new \
            process. SIGINT, SIGTERM and stop end all of them in order, with 0.
            """)

    @Option(help: "How many brokers.") var count = 10
    @Option(help: "The id of the first; the others follow.") var firstID = BrokerID(1)
    @Option(help: "How many racks they are spread over; 0: none.") var racks = 0
    @Option(help: "The host that they claim to listen on.") var host = "127.0.0.1"
    @Option(help: "How often each sends heartbeats; more often when the cluster's timeout needs it.")
    var heartbeatInterval = DurationArgument(.seconds(10))
    @Option(help: "How long a follower follows before its leader reports it in sync.")
    var syncDelay = DurationArgument(.milliseconds(500))
    @Option(help: "Bytes that a replica takes on average; heartbeats say what all of a broker take.")
    var replicaSize: UInt64 = 1 << 30
    @Option(help: ArgumentHelp("Kill some brokers after this time; see --kill-count.", valueName: "duration"))
    var killAfter: DurationArgument?
    @Option(help: "How many, chosen by chance.") var killCount = 1
    @Option(help: ArgumentHelp("Stop after this time. Default: go on.", valueName: "duration"))
    var duration: DurationArgument?
    @OptionGroup var global: GlobalOptions

    private static let statusInterval = Duration.seconds(1)
    /// A tebibyte: that of two million partitions fits 64 bits.
    private static let replicaSizeMax: UInt64 = 1 << 40

    func validate() throws {
        guard (1...Limits.brokersMax).contains(count) else {
            throw ValidationError("--count must be 1 to \(Limits.brokersMax)")
        }
        guard (0...count).contains(racks) else { throw ValidationError("--racks must be 0 to the number of brokers") }
        guard firstID.rawValue <= Int32.max - Int32(count) else { throw ValidationError("--first-id is too high") }
        guard replicaSize <= SimulateBrokersCommand.replicaSizeMax else {
            throw ValidationError("--replica-size must be at most \(SimulateBrokersCommand.replicaSizeMax)")
        }
        guard (1...count).contains(killCount) else {
            throw ValidationError("--kill-count must be 1 to the number of brokers")
        }
    }

    private var ids: ClosedRange<Int32> { firstID.rawValue...firstID.rawValue + Int32(count) - 1 }

    func run() async throws {
        let signals = Signals.stream([SIGTERM, SIGINT])
        try await global.withClient { client in
            let cache = MetadataCache(client: client)
            let fleet = Fleet(
                client: client, cache: cache,
                settings: Fleet.Settings(
                    ids: ids, racks: racks, host: host, heartbeatInterval: heartbeatInterval.duration,
                    syncDelay: syncDelay.duration, replicaBytes: replicaSize, stopTimeout: global.timeout))
            let giver = fleet.orders
            readOrders(giver)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await printStatus(of: fleet) }
                group.addTask { for await _ in signals { giver.yield(.stop) } }
                group.addTask { try await followPlan(giver) }
                do {
                    try await fleet.run()
                } catch {
                    group.cancelAll()
                    throw error
                }
                group.cancelAll()
            }
        }
    }

    private func printStatus(of fleet: Fleet) async throws {
        let clock = ContinuousClock()
        let begun = clock.now
        while !Task.isCancelled {
            do {
                try await clock.sleep(for: SimulateBrokersCommand.statusInterval)
            } catch {
                return
            }
            do {
                try global.console.printLine(await fleet.status(at: begun.duration(to: clock.now)))
            } catch {
                // Nobody reads on; the brokers end too.
                fleet.orders.yield(.stop)
                throw error
            }
        }
    }

    /// What was asked for on the command line, in its time.
    private func followPlan(_ giver: AsyncStream<FleetOrder>.Continuation) async throws {
        do {
            let clock = ContinuousClock()
            let begun = clock.now
            if let killAfter {
                try await clock.sleep(until: begun.advanced(by: killAfter.duration))
                for id in ids.shuffled().prefix(killCount) { giver.yield(.kill(.range(id...id))) }
            }
            if let duration {
                try await clock.sleep(until: begun.advanced(by: duration.duration))
                giver.yield(.stop)
            }
        } catch is CancellationError {
            return
        }
    }

    /// Reads lines from a thread of its own, since there is no other way to wait for them that ends with the process.
    private func readOrders(_ giver: AsyncStream<FleetOrder>.Continuation) {
        Thread.detachNewThread {
            while let line = readLine() {
                if line.allSatisfy(\.isWhitespace) { continue }
                if let order = FleetOrder(line: line) {
                    giver.yield(order)
                    continue
                }
                do {
                    try Console.write("no order: \(line.printable)", to: .standardError)
                } catch {
                    // Nobody is there to give orders either.
                    return
                }
            }
        }
    }
}
