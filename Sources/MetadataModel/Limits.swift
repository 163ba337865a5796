/// Every bound of the model, in one place. Exceeding one is a refusal that names it.
public enum Limits {
    /// Kafka's bound on topic names (`Topic.MAX_NAME_LENGTH`).
    public static let topicNameBytesMax = 249
    /// Topics of a cluster.
    public static let topicsMax = 1_000_000
    /// Registered brokers.
    public static let brokersMax = 10_000
    /// Of one topic, and of one command.
    public static let partitionsPerTopicMax: Int32 = 10_000
    /// Partitions of all topics together.
    public static let partitionsMax = 2_000_000
    /// Brokers and topic prefixes in the filter of one watch, together.
    public static let watchTermsMax = 1_024
    /// Replicas of one partition.
    public static let replicationFactorMax: Int16 = 16
    /// Endpoints of one broker.
    public static let endpointsPerBrokerMax = 16
    /// Bytes of an endpoint's host.
    public static let hostBytesMax = 255
    /// Bytes of the name of a rack.
    public static let rackBytesMax = 255
    /// What brokers may weigh.
    public static let brokerCapacityRange: ClosedRange<UInt32> = 1...1_000_000
    /// Tags of one broker.
    public static let tagsPerBrokerMax = 16
    /// Bytes of the name of a tag.
    public static let tagNameBytesMax = 64
    /// Bytes of the value of a tag.
    public static let tagValueBytesMax = 256
    /// Bytes of an endpoint's name.
    public static let endpointNameBytesMax = 64
    /// Bytes of the name of a configuration key.
    public static let configNameBytesMax = 255
    /// Bytes of the value of a configuration key.
    public static let configValueBytesMax = 65_536
    /// Configuration keys of one topic or broker, or of the cluster.
    public static let configsPerResourceMax = 256
    /// Keys that one command changes.
    public static let configChangesPerCommandMax = 256
    /// Partitions that one command names, each with an answer of its own.
    public static let partitionsPerCommandMax = 1_000
    /// Open client sessions.
    public static let sessionsMax = 100_000
    /// Writes of one session that may wait for their answer to be acknowledged.
    public static let sessionWindow: UInt64 = 1_024
    /// What the answers that a session keeps may weigh (`CommandOutcome.weight`, about their bytes) before it is given more:
    /// then a write is refused, whatever it is, and that is its answer.
    public static let sessionResultsWeightMax = 8 << 20
    /// The shortest session timeout.
    public static let sessionTimeoutMillisecondsMin: UInt64 = 1_000
    /// The longest session timeout.
    public static let sessionTimeoutMillisecondsMax: UInt64 = 86_400_000
    /// What a client asks for that has no wish.
    public static let sessionTimeoutMillisecondsDefault: UInt64 = 600_000
    /// Items of one page.
    public static let pageItemsMax = 1_000
    /// The level of features of an empty state.
    public static let featureLevelInitial: UInt32 = 0
    /// The highest level of features that this build understands.
    public static let featureLevelMax: UInt32 = 4
    /// From this level on there are rebalances in the log, and the coordinator moves replicas.
    public static let featureLevelOfRebalances: UInt32 = 2
    /// From this level on brokers are fenced and shut down in steps, their silence is noted in the log, and reports of ISRs name
    /// the broker epochs of their members.
    public static let featureLevelOfSteps: UInt32 = 3
    /// From this level on a broker returns, or is forced out, in steps.
    public static let featureLevelOfUnfinishedWork: UInt32 = 4
    /// Brokers that return or are forced out at the same time.
    public static let unfinishedMax = 500
    /// Partitions that one step of a fencing or a shutdown moves: some 10 ms of work, which other writes wait for.
    public static let partitionsPerStepMax = 500
    /// A broker that no more partitions rely on is fenced or shut down in one entry.
    public static let partitionsAtOnceMax = 32
    /// Brokers whose silence is noted at the same time.
    public static let silentBrokersMax = 1_000
    /// Brokers that one rebalance leaves out.
    public static let excludedBrokersMax = 1_000
    /// Bytes of the sentence with which a rebalance ends.
    public static let rebalanceDetailBytesMax = 1_024
    /// An encoded command, at most: it fits a frame with room to spare.
    public static let commandBytesMax = 4 << 20
    /// Commands that would take a leader or partition epoch beyond this are refused; the rest of the range is kept for
    /// fencing, which must not be refused.
    public static let partitionEpochMax: Int32 = Int32.max - (1 << 20)

    /// How many items a page that was asked for with `limit` holds at most.
    public static func pageItems(_ limit: Int) -> Int { min(max(limit, 1), pageItemsMax) }
}
