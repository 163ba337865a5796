import HeapModule
import MetadataClient
import MetadataModel

/// What the replicas of simulated brokers are up to: who follows whom under which leader epoch, and when that is in sync.
/// No records move; a follower counts as in sync when it has followed for a while. Pure: time comes in from outside.
struct FleetReplicas {
    typealias Instant = ContinuousClock.Instant

    /// A partition that one of the brokers leads.
    private struct Lead {
        var partition: Partition
        /// A report of it is under way: the next one waits for its result.
        var isReporting = false
    }

    private struct Fetch {
        var leaderEpoch: Int32
        var since: Instant
    }

    /// What a broker has on its disk, whether it leads or follows.
    private struct Held {
        var partitions: Set<PartitionKey> = []
        var bytes: UInt64 = 0
    }

    private struct Check: Comparable {
        var due: Instant
        var key: PartitionKey

        static func < (lhs: Check, rhs: Check) -> Bool { lhs.due != rhs.due ? lhs.due < rhs.due : lhs.key < rhs.key }
    }

    /// How long a follower follows before it is in sync.
    let delay: Duration
    /// What a replica takes on average; see `bytes(of:)`.
    let replicaBytes: UInt64
    private var held: [BrokerID: Held] = [:]
    private var leads: [PartitionKey: Lead] = [:]
    private var fetches: [BrokerID: [PartitionKey: Fetch]] = [:]
    private var checks = Heap<Check>()

    /// After a refusal, or a follower that is not active yet.
    private static let pause = Duration.milliseconds(200)

    init(delay: Duration, replicaBytes: UInt64 = 0) {
        self.delay = delay
        self.replicaBytes = replicaBytes
    }

    /// Partitions that are led.
    var ledCount: Int { leads.count }

    /// What the replicas of a broker take.
    func bytes(of broker: BrokerID) -> UInt64 { held[broker]?.bytes ?? 0 }

    /// Partitions differ in size, from half the average to one and a half of it; the replicas of one do not.
    func bytes(of key: PartitionKey) -> UInt64 {
        guard replicaBytes > 0 else { return 0 }
        let mixed =
            (key.topic.high ^ key.topic.low &+ UInt64(truncatingIfNeeded: key.index.rawValue)) &* 0x9E37_79B9_7F4A_7C15
        return replicaBytes / 2 + (mixed >> 32) % replicaBytes
    }

    // MARK: Inputs

    mutating func assigned(_ broker: BrokerID, _ assignment: Assignment, now: Instant) {
        switch assignment {
        case .becomeLeader(let partition, _):
            hold(broker, partition.key)
            fetches[broker]?[partition.key] = nil
            leads[partition.key] = Lead(partition: partition)
            checks.insert(Check(due: now.advanced(by: delay), key: partition.key))
        case .becomeFollower(let partition, _):
            hold(broker, partition.key)
            stopLeading(broker, partition.key)
            fetches[broker, default: [:]][partition.key] = Fetch(leaderEpoch: partition.leaderEpoch, since: now)
            checks.insert(Check(due: now.advanced(by: delay), key: partition.key))
        case .update(let partition, _):
            guard let lead = leads[partition.key], lead.partition.leader == broker,
                lead.partition.partitionEpoch < partition.partitionEpoch
            else { return }
            leads[partition.key]?.partition = partition
            checks.insert(Check(due: now, key: partition.key))
        case .stopReplica(let key, _):
            let size = bytes(of: key)
            if held[broker]?.partitions.remove(key) != nil { held[broker]?.bytes -= size }
            stopLeading(broker, key)
            fetches[broker]?[key] = nil
        }
    }

    private mutating func hold(_ broker: BrokerID, _ key: PartitionKey) {
        guard held[broker, default: Held()].partitions.insert(key).inserted else { return }
        let size = bytes(of: key)
        held[broker]?.bytes += size
    }

    private mutating func stopLeading(_ broker: BrokerID, _ key: PartitionKey) {
        if leads[key]?.partition.leader == broker { leads[key] = nil }
    }

    /// Nothing of it goes on.
    mutating func died(_ broker: BrokerID) {
        // Another process finds it all again when it is told what is its own.
        held[broker] = nil
        fetches[broker] = nil
        leads = leads.filter { $0.value.partition.leader != broker }
    }

    /// What became of a report.
    mutating func reported(_ report: Command.ISRReport, _ result: ISRReportResult, now: Instant) {
        let key = report.partition
        guard let lead = leads[key], lead.partition.leaderEpoch == report.leaderEpoch else { return }
        leads[key]?.isReporting = false
        switch result {
        case .accepted(_, let partitionEpoch):
            if lead.partition.partitionEpoch < partitionEpoch {
                leads[key]?.partition.partitionEpoch = partitionEpoch
                leads[key]?.partition.isr = report.isr
            }
            checks.insert(Check(due: now, key: key))
        case .refused, .outdated:
            checks.insert(Check(due: now.advanced(by: FleetReplicas.pause), key: key))
        case .failed:
            break
        }
    }

    // MARK: Output

    /// The reports that are due, with the broker that leads.
    mutating func takeReports(now: Instant, isActive: (BrokerID) -> Bool) -> [(BrokerID, Command.ISRReport)] {
        var reports: [(BrokerID, Command.ISRReport)] = []
        while let first = checks.min, first.due <= now {
            checks.removeMin()
            guard let report = report(first.key, now: now, isActive: isActive) else { continue }
            reports.append(report)
        }
        return reports
    }

    private mutating func report(
        _ key: PartitionKey, now: Instant, isActive: (BrokerID) -> Bool
    ) -> (BrokerID, Command.ISRReport)? {
        guard let lead = leads[key], !lead.isReporting, let leader = lead.partition.leader else { return nil }
        let partition = lead.partition
        let caughtUp = partition.replicas.filter { replica in
            guard !partition.isr.contains(replica), let fetch = fetches[replica]?[key] else { return false }
            return fetch.leaderEpoch == partition.leaderEpoch && fetch.since.advanced(by: delay) <= now
        }
        let joining = caughtUp.filter(isActive)
        if joining.count < caughtUp.count {
            // Only active brokers join an ISR (KIP-841); these will be, soon.
            checks.insert(Check(due: now.advanced(by: FleetReplicas.pause), key: key))
        }
        guard !joining.isEmpty else { return nil }
        leads[key]?.isReporting = true
        let isr = partition.replicas.filter { partition.isr.contains($0) || joining.contains($0) }
        return (
            leader,
            Command.ISRReport(
                partition: key, leaderEpoch: partition.leaderEpoch, partitionEpoch: partition.partitionEpoch, isr: isr)
        )
    }
}
