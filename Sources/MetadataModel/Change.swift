/// One row that a command changes: the state before and after, whole. Applying it needs no other knowledge, and the
/// digest moves by `after` minus `before`.
public enum Change: Hashable, Sendable {
    case broker(before: Broker?, after: Broker?)
    case topic(before: Topic?, after: Topic?)
    case partition(before: Partition?, after: Partition?)
    case config(before: ConfigEntry?, after: ConfigEntry?)
    case featureLevel(before: UInt32, after: UInt32)
    case sessionOpened(Session)
    case sessionClosed(SessionID)
}

/// What the state machine keeps of a client session, without its results.
public struct Session: Hashable, Sendable {
    /// The log index of the entry that opened it.
    public var id: SessionID
    /// The session ends when its log time stands still for longer than this.
    public var timeoutMilliseconds: UInt64
    /// Log time of its last write, in milliseconds.
    public var lastActiveMilliseconds: UInt64

    /// Takes the fields as they are.
    public init(id: SessionID, timeoutMilliseconds: UInt64, lastActiveMilliseconds: UInt64) {
        self.id = id
        self.timeoutMilliseconds = timeoutMilliseconds
        self.lastActiveMilliseconds = lastActiveMilliseconds
    }
}

/// What watchers are told: a change as clients see it, with the version at which it happened.
public struct ChangeEvent: Hashable, Sendable {
    /// The version of everything in this event.
    public var version: Version
    /// Everything that changed at this version: delivered whole or not at all.
    public var changes: [ObservedChange]
    /// Which brokers hold replicas no more by these changes, which do not show it themselves: for the filter. It stays inside
    /// of a node; by rising place.
    package var departures: [Departure]

    /// Takes the fields as they are.
    public init(version: Version, changes: [ObservedChange]) {
        self.init(version: version, changes: changes, departures: [])
    }

    package init(version: Version, changes: [ObservedChange], departures: [Departure]) {
        self.version = version
        self.changes = changes
        self.departures = departures
    }
}

/// Brokers that lost replicas by one of the changes of an event.
package struct Departure: Hashable, Sendable {
    /// The place of the change in `ChangeEvent.changes`: of a partition, or the removal of a topic.
    package var place: Int
    /// By rising id, never empty.
    package var brokers: [BrokerID]

    package init(place: Int, brokers: [BrokerID]) {
        self.place = place
        self.brokers = brokers
    }
}

/// One change, as a client sees it. The removal of a topic or broker implies that of its partitions and configurations.
public enum ObservedChange: Hashable, Sendable {
    case brokerChanged(Broker)
    case brokerRemoved(BrokerID)
    case topicChanged(Topic)
    case topicRemoved(id: TopicID, name: String)
    case partitionChanged(Partition, topicName: String)
    case configChanged(ConfigEntry)
    case configRemoved(resource: ConfigResource, name: String)
}

/// Which changes a watcher wants. An empty filter wants everything; otherwise a change passes when one condition holds.
public struct WatchFilter: Hashable, Sendable {
    /// Changes of brokers, and of partitions that have one of these among their replicas or had it until then; removals of
    /// topics that had.
    public var brokers: [BrokerID]
    /// Changes of topics, partitions and topic configurations whose topic name starts with one of these.
    public var topicPrefixes: [String]

    /// Takes the fields as they are.
    public init(brokers: [BrokerID] = [], topicPrefixes: [String] = []) {
        self.brokers = brokers
        self.topicPrefixes = topicPrefixes
    }

    /// No condition is given.
    public var wantsEverything: Bool { brokers.isEmpty && topicPrefixes.isEmpty }
}
