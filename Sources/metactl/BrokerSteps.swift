import ArgumentParser
import MetadataClient
import MetadataModel

/// Whether to wait for a change of a broker that takes the leader several steps (docs/adr/0011, docs/adr/0017).
struct StepOptions: ParsableArguments {
    @Flag(
        inversion: .prefixedNo,
        help: "Wait until all partitions concerned have followed, for --timeout at most, and say how it gets on.")
    var wait = true
}

/// A change of a broker that begins with one command and is done when its partitions have followed. The leader goes on with it
/// by itself, whoever that is and whether somebody waits or not.
struct BrokerSteps {
    /// How far it is.
    enum Progress: Hashable {
        case done
        /// Partitions that have not followed yet; nil where counting them was not worth it.
        case underWay(remaining: Int?)
    }

    enum Change: Hashable {
        case fence
        case shutdown
        case unfence
        case unregister

        /// What is true when all partitions have followed.
        func outcome(_ id: BrokerID) -> String {
            switch self {
            case .fence: "fenced broker \(id)"
            case .shutdown: "broker \(id) leads nothing any more and may stop"
            case .unfence: "unfenced broker \(id)"
            case .unregister: "unregistered broker \(id)"
            }
        }

        /// What is true as soon as the command is.
        func begin(_ id: BrokerID) -> String {
            switch self {
            case .fence: "began to fence broker \(id)"
            case .shutdown: "began to move leadership off broker \(id)"
            case .unfence: "unfenced broker \(id)"
            case .unregister: "began to force broker \(id) out"
            }
        }

        /// What is left to do for it.
        func rest(_ remaining: Int, _ id: BrokerID) -> String {
            switch self {
            case .fence, .shutdown: "\(remaining) partitions still rely on broker \(id)"
            case .unfence: "\(remaining) partitions that broker \(id) may lead have no leader yet"
            case .unregister: "\(remaining) partitions still have a replica on broker \(id)"
            }
        }
    }

    let change: Change
    let id: BrokerID
    let client: MetadataClient

    /// Between two looks at the broker.
    private static let pause = Duration.milliseconds(100)
    /// Between two lines.
    private static let lineInterval = Duration.seconds(1)
    /// Counting reads all partitions, so it pauses for so many times as long as it took.
    private static let countPauses = 4

    /// Waits until it is done, or for `patience`, and tells `progress` now and then.
    func follow(from version: Version, within patience: Duration, progress: (String) throws -> Void) async throws
        -> BrokerStepsReport
    {
        let clock = ContinuousClock()
        let begun = clock.now
        var report = BrokerStepsReport(message: change.outcome(id), version: version, broker: id)
        var nextCount = begun
        var nextLine = begun + BrokerSteps.lineInterval
        while true {
            let lookedAt = clock.now
            let found = try await look(counting: lookedAt >= nextCount)
            report.waitedSeconds = Numbers.rounded(begun.duration(to: clock.now).inSeconds)
            switch found {
            case .done:
                report.remaining = 0
                report.done = true
                return report
            case .underWay(let remaining):
                guard let remaining else { break }
                report.remaining = remaining
                nextCount = clock.now + lookedAt.duration(to: clock.now) * BrokerSteps.countPauses
                guard clock.now >= nextLine else { break }
                try progress(change.rest(remaining, id))
                nextLine = clock.now + BrokerSteps.lineInterval
            }
            guard begun.duration(to: clock.now) < patience else {
                report.message = change.begin(id)
                report.done = false
                return report
            }
            try await Task.sleep(for: BrokerSteps.pause)
        }
    }

    private func look(counting mayCount: Bool) async throws -> Progress {
        switch change {
        case .fence:
            // Whoever came back since was fenced in between.
            guard try await client.existingBroker(id).state == .fencing else { return .done }
            return .underWay(remaining: mayCount ? try await count(.all) { $0.relies(on: id) } : nil)
        case .shutdown:
            guard try await client.existingBroker(id).state != .fenced else { return .done }
            // Its state does not say when that is done.
            guard mayCount else { return .underWay(remaining: nil) }
            let remaining = try await count(.all) { $0.relies(on: id) }
            return remaining == 0 ? .done : .underWay(remaining: remaining)
        case .unfence:
            guard try await client.existingBroker(id).isActive else { return .done }
            guard mayCount else { return .underWay(remaining: nil) }
            let remaining = try await count(.offline) { $0.isr.contains(id) || $0.eligibleLeaders.contains(id) }
            return remaining == 0 ? .done : .underWay(remaining: remaining)
        case .unregister:
            return try await lookAtReplicas(counting: mayCount)
        }
    }

    /// A broker is forgotten in the entry that ends the work on it, so that one is looked at first.
    private func lookAtReplicas(counting mayCount: Bool) async throws -> Progress {
        let row = try await client.configs(of: .cluster).first { $0.name == UnfinishedWork.configName }
        guard let broker = try await client.broker(id) else { return .done }
        let isUnderWay = UnfinishedWork(text: row?.value).isForcingOut(id, epoch: broker.epoch)
        if isUnderWay, !mayCount { return .underWay(remaining: nil) }
        let remaining = try await count(.all) { $0.replicas.contains(id) }
        guard isUnderWay else {
            throw CommandFailure.notFound(
                code: Refusal.Reason.brokerNotEmpty.rawValue,
                "broker \(id) is there with \(remaining) replicas: partitions that have no other keep theirs")
        }
        return .underWay(remaining: remaining)
    }

    private func count(_ filter: PartitionFilter, where isLeft: (Partition) -> Bool) async throws -> Int {
        var count = 0
        var last: PartitionKey?
        while true {
            let page = try await client.partitions(filter, after: last)
            count += page.items.count(where: isLeft)
            last = page.items.last?.key
            guard page.hasMore, !page.items.isEmpty else { return count }
        }
    }
}

extension GlobalOptions {
    /// Begins a change of a broker and, if that is wanted, waits until its partitions have followed.
    func runSteps(
        _ change: BrokerSteps.Change, _ id: BrokerID, _ options: StepOptions,
        begin: (MetadataClient) async throws -> Version
    ) async throws {
        let report = try await withClient { client in
            let version = try await begin(client)
            let steps = BrokerSteps(change: change, id: id, client: client)
            guard options.wait else {
                return BrokerStepsReport(message: change.begin(id), version: version, broker: id)
            }
            do {
                return try await steps.follow(from: version, within: timeout) { try console.progress($0) }
            } catch let error as OutputClosed {
                throw error
            } catch {
                throw CommandFailure(after: change.begin(id), error)
            }
        }
        try console.print(report)
        guard report.done == false else { return }
        throw CommandFailure(
            status: .unknownOutcome, code: "not_done_yet", category: "transient",
            detail:
                "\(change.rest(report.remaining ?? 0, id)) after \(report.waitedSeconds ?? 0) s; the leader goes on by "
                + "itself, see brokers status \(id)",
            outcome: .indefinite)
    }
}

/// The answer to `brokers fence`, `shutdown`, `unfence` and `unregister`.
struct BrokerStepsReport: Report, Equatable {
    /// What was done, in a few words.
    var message: String
    /// Of the first step.
    var version: UInt64
    var broker: Int32
    /// All partitions have followed; null where nobody has waited.
    @OrNull var done: Bool?
    /// Partitions that have not followed; null where nobody has waited.
    @OrNull var remaining: Int?
    /// Null where nobody has waited.
    @OrNull var waitedSeconds: Double?

    init(message: String, version: Version, broker: BrokerID) {
        self.message = message
        self.version = version.rawValue
        self.broker = broker.rawValue
    }

    var table: String { "\(message.printable) at version \(version)" }
}
