import DequeModule
import MetadataModel

/// Which instructions a broker gets, and when. Pure: it compares what the broker was told last with an image.
///
/// An instruction is made when it is taken, from the newest image. So none is stale when it is given, one that was overtaken
/// is never given, none is given twice, and what waits is bounded by the number of replicas.
struct AssignmentMachine: Sendable {
    enum State: Sendable, Hashable {
        /// The broker has no registration in force: what the image says of it may be about an earlier one. Exits: `open`,
        /// `ended`.
        case held
        /// Registered. Images count from the version of the registration on: older ones may still name the broker as
        /// leader of what it lost before. Exits: `held`, `ended`.
        case open(since: Version)
        case ended
    }

    /// What the broker believes of a partition.
    private struct Told: Sendable {
        var leader: BrokerID?
        var leaderEpoch: Int32
        var partitionEpoch: Int32
    }

    let broker: BrokerID
    private(set) var state = State.held
    private var told: [PartitionKey: Told] = [:]
    /// Partitions to be compared, in the order in which they changed; each once.
    private var waiting: Deque<PartitionKey> = []
    private var isWaiting: Set<PartitionKey> = []

    init(broker: BrokerID) { self.broker = broker }

    /// Partitions that may have an instruction. For tests and metrics.
    var waitingCount: Int { waiting.count }

    // MARK: Inputs

    /// A registration is in force, made at the version that its epoch names.
    mutating func registered(_ epoch: BrokerEpoch) {
        guard state != .ended else { return }
        state = .open(since: Version(epoch.rawValue))
    }

    /// The registration is lost; another will follow.
    mutating func unregistered() {
        guard state != .ended else { return }
        state = .held
    }

    /// The image has changed in a partition that the broker holds or held.
    mutating func touched(_ key: PartitionKey) {
        if isWaiting.insert(key).inserted { waiting.append(key) }
    }

    /// The image was made anew: everything has to be compared. The caller tells of the replicas that it names (`touched`).
    mutating func replaced() {
        for key in told.keys.sorted() { touched(key) }
    }

    mutating func end() {
        state = .ended
        told = [:]
        waiting = []
        isWaiting = []
    }

    // MARK: Output

    /// The next instruction under this image; nil when there is none, or the image is too old to give any.
    mutating func next(_ image: MetadataImage) -> Assignment? {
        guard case .open(let since) = state, image.version >= since else { return nil }
        while let key = waiting.popFirst() {
            isWaiting.remove(key)
            if let assignment = instruction(for: key, image) { return assignment }
        }
        return nil
    }

    private mutating func instruction(for key: PartitionKey, _ image: MetadataImage) -> Assignment? {
        let before = told[key]
        guard let topic = image.topic(key.topic)?.name, let partition = image.partition(key),
            partition.replicas.contains(broker)
        else {
            guard before != nil else { return nil }
            told[key] = nil
            return .stopReplica(key, image.topic(key.topic) == nil ? .deleted : .movedAway)
        }
        told[key] = Told(
            leader: partition.leader, leaderEpoch: partition.leaderEpoch, partitionEpoch: partition.partitionEpoch)
        if let before, before.leader == partition.leader, before.leaderEpoch == partition.leaderEpoch {
            return before.partitionEpoch == partition.partitionEpoch ? nil : .update(partition, topic: topic)
        }
        return partition.leader == broker
            ? .becomeLeader(partition, topic: topic) : .becomeFollower(partition, topic: topic)
    }
}
