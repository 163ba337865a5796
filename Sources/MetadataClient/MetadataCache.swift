import MetadataModel

/// The metadata of the cluster in this process: made once, shared by all who ask, kept current by a watch.
///
/// Lookups cost no I/O and wait for nobody. They show a state of the past: everything as it was at `version`, nothing of a
/// later one. `lag` tells how old that may be, and `reached(_:)` waits for a version, for example that of a write of one's
/// own. For several lookups that have to fit each other take one `image`.
///
/// The first image takes a linearizable read and lists of everything; until it is there `version` is zero and nothing is
/// found. When the watch cannot go on from where it stood, everything is listed again; the last image is shown meanwhile.
/// What is shown never goes back. The cache ends when nobody holds it, or its client is closed.
public final class MetadataCache: Sendable {
    let core: CacheCore
    private let runner: Task<Void, Never>

    /// Begins at once to read the metadata.
    public init(client: MetadataClient) {
        let core = CacheCore()
        self.core = core
        runner = Task { await CacheFeeder(client: client, core: core).run() }
    }

    /// Shows this and never anything else: to measure lookups without a cluster.
    package init(showing image: MetadataImage) {
        core = CacheCore()
        core.replace(image)
        runner = Task {}
    }

    deinit {
        runner.cancel()
        core.end()
    }

    // MARK: How current

    /// The version that is shown; zero before the first image.
    public var version: Version { core.image.version }

    /// How long ago a node said that `version` is the newest it has; nil before the first image. Some 250 ms at most while
    /// all is well, and growing while no node is heard. A node that has lost its leader is left within seconds.
    public var lag: Duration? { core.lag(at: .now) }

    /// Waits until `version` is shown, or a later one; a version of zero waits for the first image.
    ///
    /// - Parameter timeout: How long to wait; nil waits for as long as it takes.
    /// - Throws: The codes `timedOut`, `cancelled`, and `clientClosed` when the cache has ended.
    public func reached(_ version: Version, timeout: Duration? = nil) async throws(MetadataError) {
        try await core.reached(version, timeout: timeout)
    }

    /// Waits until there is an image at all; see `reached(_:timeout:)`.
    public func ready(timeout: Duration? = nil) async throws(MetadataError) {
        try await core.reached(.zero, timeout: timeout)
    }

    // MARK: Lookups

    /// Everything, as it was at one version.
    public var image: MetadataImage { core.image }

    /// Who leads a partition; nil when there is no such partition or nobody leads it.
    public func leader(of key: PartitionKey) -> PartitionLeader? { core.image.leader(of: key) }

    /// A partition; nil when there is none.
    public func partition(_ key: PartitionKey) -> Partition? { core.image.partition(key) }

    /// The partitions of a topic, by number; empty when there is no such topic.
    public func partitions(of topic: TopicID) -> [Partition] { core.image.partitions(of: topic) }

    /// A topic by its id; nil when there is none.
    public func topic(_ id: TopicID) -> Topic? { core.image.topic(id) }

    /// A topic by its name; nil when there is none.
    public func topic(named name: String) -> Topic? { core.image.topic(named: name) }

    /// A broker; nil when it is not registered.
    public func broker(_ id: BrokerID) -> Broker? { core.image.broker(id) }

    /// All brokers, by id.
    public var brokers: [Broker] { core.image.brokers }
}
