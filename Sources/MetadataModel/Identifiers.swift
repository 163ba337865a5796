/// The number that an operator gives a broker (KIP-631 `BrokerId`). 0 or more.
public struct BrokerID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }
    public init(_ rawValue: Int32) { self.rawValue = rawValue }

    public static func < (lhs: BrokerID, rhs: BrokerID) -> Bool { lhs.rawValue < rhs.rawValue }
    public var description: String { "\(rawValue)" }
}

/// Distinguishes one registration of a broker from the next: the log index of the registration (KIP-631 `BrokerEpoch`).
/// It only grows, so it serves as a fencing token.
public struct BrokerEpoch: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (lhs: BrokerEpoch, rhs: BrokerEpoch) -> Bool { lhs.rawValue < rhs.rawValue }
    public var description: String { "\(rawValue)" }
}

/// 128 bits chosen at random by a broker process each time it starts (KIP-631 `IncarnationId`). Never all zero.
public struct IncarnationID: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// 128 bits that name a topic for ever, chosen at random by whoever proposes its creation (KIP-516). Never all zero.
public struct TopicID: Hashable, Comparable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static func < (lhs: TopicID, rhs: TopicID) -> Bool {
        lhs.high != rhs.high ? lhs.high < rhs.high : lhs.low < rhs.low
    }
}

/// The number of a partition within its topic, from 0.
public struct PartitionIndex: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }
    public init(_ rawValue: Int32) { self.rawValue = rawValue }

    public static func < (lhs: PartitionIndex, rhs: PartitionIndex) -> Bool { lhs.rawValue < rhs.rawValue }
    public var description: String { "\(rawValue)" }
}

/// Names a partition.
public struct PartitionKey: Hashable, Comparable, Sendable {
    public var topic: TopicID
    public var index: PartitionIndex

    public init(topic: TopicID, index: PartitionIndex) {
        self.topic = topic
        self.index = index
    }

    public static func < (lhs: PartitionKey, rhs: PartitionKey) -> Bool {
        lhs.topic != rhs.topic ? lhs.topic < rhs.topic : lhs.index < rhs.index
    }
}

/// The version of the metadata: the log index of the last entry that changed something. The same on every node; the
/// position of a watch.
public struct Version: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static let zero = Version(0)

    public static func < (lhs: Version, rhs: Version) -> Bool { lhs.rawValue < rhs.rawValue }
    public var description: String { "\(rawValue)" }
}

/// A client's session: the log index of the entry that opened it (Diss. §6.3).
public struct SessionID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (lhs: SessionID, rhs: SessionID) -> Bool { lhs.rawValue < rhs.rawValue }
    public var description: String { "\(rawValue)" }
}
