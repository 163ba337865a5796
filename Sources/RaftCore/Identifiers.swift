/// A Raft term: a logical clock that numbers elections (Raft §5.1). Zero is the term before the first election.
public struct Term: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number of the term.
    public var rawValue: UInt64

    /// Makes a term from its number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Makes a term from its number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The term before any election.
    public static let zero = Term(0)

    /// The term that a candidate for the election after this one asks for.
    public var next: Term { Term(rawValue + 1) }

    /// Earlier terms are smaller.
    public static func < (lhs: Term, rhs: Term) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number.
    public var description: String { "\(rawValue)" }
}

/// The position of an entry in the log. The first entry has index 1; zero stands for "before the first entry".
public struct LogIndex: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number of the position, from 1.
    public var rawValue: UInt64

    /// Makes an index from its number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Makes an index from its number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The position before the first entry.
    public static let zero = LogIndex(0)

    /// The index after this one.
    public var next: LogIndex { LogIndex(rawValue + 1) }
    /// The index before this one; zero has none and stays zero.
    public var previous: LogIndex { LogIndex(rawValue == 0 ? 0 : rawValue - 1) }

    /// The index `count` places further on; `count` is not negative.
    public func advanced(by count: Int) -> LogIndex { LogIndex(rawValue + UInt64(count)) }

    /// Earlier positions are smaller.
    public static func < (lhs: LogIndex, rhs: LogIndex) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number.
    public var description: String { "\(rawValue)" }
}

/// The name of a member of the quorum. It never changes and is not an address.
public struct NodeID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number of the member.
    public var rawValue: UInt64

    /// Makes a name from its number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Makes a name from its number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The order in which members are listed.
    public static func < (lhs: NodeID, rhs: NodeID) -> Bool { lhs.rawValue < rhs.rawValue }
    /// The number.
    public var description: String { "\(rawValue)" }
}

/// A position in the log together with the term of the entry there: enough to tell two logs apart (Raft §5.3).
public struct LogPosition: Hashable, Sendable, CustomStringConvertible {
    /// The place in the log.
    public var index: LogIndex
    /// The term of the entry there.
    public var term: Term

    /// Makes a position.
    public init(index: LogIndex, term: Term) {
        self.index = index
        self.term = term
    }

    /// Before the first entry of an empty log.
    public static let zero = LogPosition(index: .zero, term: .zero)

    /// `index@term`.
    public var description: String { "\(index)@\(term)" }
}
