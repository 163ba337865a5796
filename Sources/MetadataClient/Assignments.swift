import MetadataModel

/// What a broker has to do with its replicas, in the order in which it changed: `BrokerSession.assignments`.
///
/// Begins with all that the broker has to do, and goes on with what changes. Each instruction is made when it is taken, from
/// the newest metadata: none is outdated then, and what was overtaken before anybody took it is left out. None comes twice,
/// also after broken connections, fencing and a new registration. While the broker has no registration in force, and until
/// the metadata is as new as the registration, none comes at all.
///
/// Iterate from one task at a time; a second iteration goes on where the first stopped. Ends with the session.
public struct Assignments: AsyncSequence, Sendable {
    /// What the sequence is made of.
    public typealias Element = Assignment
    /// It does not fail.
    public typealias Failure = Never

    let buffer: AssignmentBuffer?

    /// The iterator.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(buffer: buffer) }

    /// Takes instructions, one by one.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let buffer: AssignmentBuffer?

        /// The next instruction; nil when the session has ended.
        public mutating func next() async -> Assignment? { await buffer?.next() }

        /// The next instruction; nil when the session has ended.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> Assignment? { await buffer?.next() }
    }
}
