/// The number that an operator gives a broker (KIP-631 `BrokerId`). 0 or more.
public struct BrokerID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    public var rawValue: Int32

    /// Wraps the number.
    public init(rawValue: Int32) { self.rawValue = rawValue }
    /// Wraps the number.
    public init(_ rawValue: Int32) { self.rawValue = rawValue }

    /// By topic, then by number.
    public static func < (lhs: BrokerID, rhs: BrokerID) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number in decimal.
    public var description: String { "\(rawValue)" }
}

/// Distinguishes one registration of a broker from the next: the log index of the registration (KIP-631 `BrokerEpoch`).
/// It only grows, so it serves as a fencing token.
public struct BrokerEpoch: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    public var rawValue: UInt64

    /// Wraps the number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Wraps the number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// By topic, then by number.
    public static func < (lhs: BrokerEpoch, rhs: BrokerEpoch) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number in decimal.
    public var description: String { "\(rawValue)" }
}

/// 128 bits chosen at random by a broker process each time it starts (KIP-631 `IncarnationId`). Never all zero.
public struct IncarnationID: Hashable, Sendable {
    /// The upper 64 bits.
    public var high: UInt64
    /// The lower 64 bits.
    public var low: UInt64

    /// Takes the fields as they are.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// 128 bits that name a topic for ever, chosen at random by whoever proposes its creation (KIP-516). Never all zero.
public struct TopicID: Hashable, Comparable, Sendable {
    /// The upper 64 bits.
    public var high: UInt64
    /// The lower 64 bits.
    public var low: UInt64

    /// Takes the fields as they are.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// By their 128 bits as a number.
    public static func < (lhs: TopicID, rhs: TopicID) -> Bool {
        lhs.high != rhs.high ? lhs.high < rhs.high : lhs.low < rhs.low
    }
}

/// The number of a partition within its topic, from 0.
public struct PartitionIndex: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    public var rawValue: Int32

    /// Wraps the number.
    public init(rawValue: Int32) { self.rawValue = rawValue }
    /// Wraps the number.
    public init(_ rawValue: Int32) { self.rawValue = rawValue }

    /// By topic, then by number.
    public static func < (lhs: PartitionIndex, rhs: PartitionIndex) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number in decimal.
    public var description: String { "\(rawValue)" }
}

/// Names a partition.
public struct PartitionKey: Hashable, Comparable, Sendable {
    /// The topic.
    public var topic: TopicID
    /// The number within the topic.
    public var index: PartitionIndex

    /// Takes the fields as they are.
    public init(topic: TopicID, index: PartitionIndex) {
        self.topic = topic
        self.index = index
    }

    /// By topic, then by number.
    public static func < (lhs: PartitionKey, rhs: PartitionKey) -> Bool {
        lhs.topic != rhs.topic ? lhs.topic < rhs.topic : lhs.index < rhs.index
    }
}

/// The version of the metadata: the log index of the last entry that changed something. The same on every node; the
/// position of a watch.
public struct Version: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    public var rawValue: UInt64

    /// Wraps the number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Wraps the number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// By topic, then by number.
    public static let zero = Version(0)

    /// By topic, then by number.
    public static func < (lhs: Version, rhs: Version) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number in decimal.
    public var description: String { "\(rawValue)" }
}

/// A client's session: the log index of the entry that opened it (Diss. §6.3).
public struct SessionID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    public var rawValue: UInt64

    /// Wraps the number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Wraps the number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// By topic, then by number.
    public static func < (lhs: SessionID, rhs: SessionID) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number in decimal.
    public var description: String { "\(rawValue)" }
}
