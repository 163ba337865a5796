import DequeModule

/// The appends that are on their way to one follower: the window that keeps a leader from flooding it.
struct Inflight: Sendable {
    private struct Sent: Sendable {
        var last: LogIndex
        var bytes: Int
    }

    /// Ordered by `last`, which grows strictly.
    private var sent: Deque<Sent> = []
    /// The sum of `sent[*].bytes`.
    private(set) var bytes = 0

    var count: Int { sent.count }

    func isFull(_ options: Options) -> Bool {
        sent.count >= options.inflightMessagesMax || bytes >= options.inflightBytesMax
    }

    /// Notes an append that ends at `last`.
    mutating func add(last: LogIndex, bytes: Int) {
        precondition(sent.last.map { $0.last < last } ?? true, "an append up to \(last) leaves out of order")
        sent.append(Sent(last: last, bytes: bytes))
        self.bytes += bytes
    }

    /// Forgets the appends that an acknowledgement of everything up to `index` covers.
    mutating func free(through index: LogIndex) {
        while let first = sent.first, first.last <= index {
            bytes -= first.bytes
            sent.removeFirst()
        }
        precondition(bytes >= 0, "\(bytes) bytes in flight")
    }

    mutating func removeAll() {
        sent.removeAll(keepingCapacity: true)
        bytes = 0
    }
}
