import ArgumentParser
import MetadataClient
import MetadataModel

struct BrokersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "brokers", abstract: "Lists, describes and changes brokers.",
        subcommands: [
            List.self, Describe.self, Register.self, Fence.self, Unfence.self, Shutdown.self, Drain.self,
            Status.self, CancelDrain.self, Unregister.self,
        ])

    struct List: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Lists all brokers.")

        @OptionGroup var reading: ReadOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let brokers = try await global.withClient { client in try await client.brokers(consistency: reading.level) }
            try global.console.print(BrokerListReport(brokers))
        }
    }

    struct Describe: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one broker with its configuration.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @OptionGroup var reading: ReadOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let level = reading.level
                let broker = try await client.existingBroker(id, consistency: level)
                return BrokerDetailReport(
                    broker, configs: try await client.configs(of: .broker(id), consistency: level))
            }
            try global.console.print(report)
        }
    }

    struct Register: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Registers a broker; it is fenced until its heartbeats begin or it is unfenced.")

        @Option(help: "The broker's id.") var id: BrokerID
        @OptionGroup var address: BrokerAddressOptions
        @Option(help: "How much it takes beside the others: one of 200 is meant to hold twice as much as one of 100.")
        var capacity: UInt32 = Broker.capacityDefault
        @Option(
            name: .customLong("tag"), help: ArgumentHelp("A note about it; may be repeated.", valueName: "name=value"))
        var tags: [ConfigAssignment] = []
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let registration = try await client.registerBroker(
                    id, incarnation: .random(), endpoints: [address.endpoint], rack: address.rack,
                    capacity: capacity, tags: tags.map { BrokerTag(name: $0.name, value: $0.value) })
                return RegistrationReport(
                    broker: id.rawValue, epoch: registration.epoch.rawValue, version: registration.version.rawValue)
            }
            try global.console.print(report)
        }
    }

    struct Fence: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fences a broker: it leads nothing and leaves the ISRs (the last member stays).",
            discussion: "Returns when all its partitions have moved. A broker with many of them is fencing until then.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @OptionGroup var guarding: EpochOptions
        @OptionGroup var waiting: StepOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await global.runSteps(.fence, id, waiting) { client in
                try await client.fenceBroker(id, epoch: try await guarding.epoch(of: id, client))
            }
        }
    }

    struct Unfence: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Unfences a broker: it may lead partitions again.",
            discussion: "Returns when each partition without a leader that it may lead has one.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @OptionGroup var guarding: EpochOptions
        @OptionGroup var waiting: StepOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await global.runSteps(.unfence, id, waiting) { client in
                try await client.unfenceBroker(id, epoch: try await guarding.epoch(of: id, client))
            }
        }
    }

    struct Shutdown: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes leadership from a broker that is about to stop (controlled shutdown).",
            discussion: "When this returns with 0 the broker leads nothing and may be stopped.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @OptionGroup var guarding: EpochOptions
        @OptionGroup var waiting: StepOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await global.runSteps(.shutdown, id, waiting) { client in
                try await client.beginShutdown(id, epoch: try await guarding.epoch(of: id, client))
            }
        }
    }

    struct Drain: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Moves all replicas of a broker away (decommission): it is given no new ones.",
            discussion: """
                The leader moves them by and by; brokers status shows what is left, and why. When it is empty it can be \
                unregistered.
                """)

        @Argument(help: "The broker's id.") var id: BrokerID
        @OptionGroup var guarding: EpochOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                try await client.drainBroker(id, epoch: guarding.epoch)
                return try await client.drainReport(of: id, nodeTimeout: global.nodeTimeout, rowsMax: 0)
            }
            try global.console.print(report)
        }
    }

    struct Status: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows what a broker holds, and of one that drains why each partition is still there.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @Option(help: "Print so many partitions at most; JSON has them all.") var limit = 40
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
        }

        func run() async throws {
            let report = try await global.withClient { client in
                try await client.drainReport(of: id, nodeTimeout: global.nodeTimeout, rowsMax: limit)
            }
            try global.console.print(report)
        }
    }

    struct CancelDrain: PrintingCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel-drain", abstract: "Takes back that a broker is draining.",
            discussion: "Replicas that have moved stay where they are.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @OptionGroup var guarding: EpochOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let version = try await global.withClient { client in
                try await client.cancelDrain(id, epoch: guarding.epoch)
            }
            try global.console.print(
                ChangedReport(message: "broker \(id) is not draining any more", version: version.rawValue))
        }
    }

    struct Unregister: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a broker that holds no replica.")

        @Argument(help: "The broker's id.") var id: BrokerID
        @Flag(
            help: "Remove a fenced broker together with its replicas. What only they had is lost.")
        var force = false
        @OptionGroup var guarding: EpochOptions
        @OptionGroup var waiting: StepOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await global.runSteps(.unregister, id, waiting) { client in
                try await client.unregisterBroker(id, epoch: guarding.epoch, force: force)
            }
        }
    }
}

/// Which registration of a broker is meant (KIP-631 `BrokerEpoch`).
struct EpochOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Refuse unless the broker still has this epoch. Default: whatever it has now.", valueName: "epoch"))
    var epoch: BrokerEpoch?

    func epoch(of id: BrokerID, _ client: MetadataClient) async throws -> BrokerEpoch {
        if let epoch { return epoch }
        return try await client.existingBroker(id).epoch
    }
}

/// Where clients reach a broker.
struct BrokerAddressOptions: ParsableArguments {
    @Option(help: "The host that clients of the broker connect to.") var host: String
    @Option(help: "The port that clients of the broker connect to.") var port: UInt16
    @Option(help: "The rack: replicas of a partition are spread over racks.") var rack: String = ""
    @Option(help: "The listener's name.") var listener: String = "PLAINTEXT"

    var endpoint: Endpoint { Endpoint(name: listener, host: host, port: port) }

    func validate() throws {
        guard port > 0 else { throw ValidationError("--port must be 1 to 65535") }
    }
}

extension MetadataClient {
    /// The broker, or a failure that says it is not there.
    func existingBroker(
        _ id: BrokerID, consistency: ReadConsistency = .linearizable
    ) async throws -> Broker {
        guard let broker = try await broker(id, consistency: consistency) else {
            throw CommandFailure.notFound(
                code: Refusal.Reason.brokerNotFound.rawValue, "broker \(id) is not registered")
        }
        return broker
    }
}

extension IncarnationID {
    /// 128 random bits, never all zero.
    static func random() -> IncarnationID {
        IncarnationID(high: .random(in: 1 ... .max), low: .random(in: 0 ... .max))
    }
}
