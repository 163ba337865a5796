import MetadataModel

/// What a watch reports.
public enum WatchEvent: Sendable, Hashable {
    /// Everything that changed at one version and passed the filter. Versions ascend and none comes twice.
    case changes(ChangeEvent)
    /// Nothing more that the filter lets pass happened up to this version; a watch may be resumed after it.
    case progress(Version)
    /// The cluster no longer knows every change after the version that the watch had reached; the oldest that it could
    /// go on from is given. Take a new image, then watch from its version. The watch ends with this event.
    case restart(oldest: Version)
}

/// The changes of the metadata, in order. Made by `MetadataClient.watch(after:filter:)`.
///
/// Iterate once, from one task. A slow consumer does not lose anything: the client holds a bounded number of events, stops
/// the stream when they are too many and resumes it where it stopped. The sequence ends after `restart`, when the client
/// is closed, when the iterating task is cancelled, and with an error when the cluster refuses the watch. Dropping the
/// sequence ends the watch.
public struct MetadataWatch: AsyncSequence, Sendable {
    /// What the sequence is made of.
    public typealias Element = WatchEvent
    /// What `next()` throws, once, when the cluster refuses the watch.
    public typealias Failure = MetadataError

    private let lifetime: Lifetime

    init(buffer: WatchBuffer) { lifetime = Lifetime(buffer: buffer) }

    var buffer: WatchBuffer { lifetime.buffer }

    /// The iterator; make one.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lifetime: lifetime) }

    /// Reads the watch, event by event.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let lifetime: Lifetime

        /// The next event; nil when the watch has ended.
        public mutating func next() async throws(MetadataError) -> WatchEvent? {
            try await lifetime.buffer.next()
        }

        /// The next event; nil when the watch has ended.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(MetadataError) -> WatchEvent? {
            try await lifetime.buffer.next()
        }
    }

    /// Ends the watch when neither the sequence nor an iterator is left.
    fileprivate final class Lifetime: Sendable {
        let buffer: WatchBuffer
        init(buffer: WatchBuffer) { self.buffer = buffer }
        deinit { buffer.abandon() }
    }
}
