internal import DequeModule
internal import MetadataModel
internal import RaftCore

/// Writes of clients on their way through the log of a leader: gathered, proposed together, answered when applied.
struct ProposalQueue {
    struct Gathered {
        var token: RequestToken
        var intent: WriteIntent
    }

    private struct InFlight {
        var index: LogIndex
        var token: RequestToken
    }

    /// Not in the log yet. Proposed in one batch when the inputs of this turn are all in.
    private var gathered: [Gathered] = []
    /// What the commands among them take.
    private var gatheredBytes = 0
    /// In the log of this leader's term and not applied yet, by rising index. Empty on a member that does not lead.
    private var inFlight: Deque<InFlight> = []

    var inFlightCount: Int { inFlight.count + gathered.count }
    var hasGathered: Bool { !gathered.isEmpty }

    mutating func gather(_ intent: WriteIntent, token: RequestToken) {
        gathered.append(Gathered(token: token, intent: intent))
        gatheredBytes += intent.command.count
    }

    /// During a handover nothing is proposed, so what gathers is bounded.
    func hasRoomToWait(for intent: WriteIntent) -> Bool {
        gathered.count < Handover.writesMax && gatheredBytes + intent.command.count <= Handover.bytesMax
    }

    mutating func takeGathered() -> [Gathered] {
        defer {
            gathered.removeAll(keepingCapacity: true)
            gatheredBytes = 0
        }
        return gathered
    }

    /// The entries stand in the log from `first` on, one for each of `batch`.
    mutating func proposed(_ batch: [Gathered], first: LogIndex) {
        if let last = inFlight.last {
            precondition(last.index < first, "proposed at \(first), behind \(last.index) which is still open")
        }
        for (offset, item) in batch.enumerated() {
            inFlight.append(InFlight(index: first.advanced(by: offset), token: item.token))
        }
    }

    /// Takes out whoever waits for `index`. Indexes are asked for in rising order.
    mutating func answered(_ index: LogIndex) -> RequestToken? {
        guard let first = inFlight.first, first.index <= index else { return nil }
        precondition(first.index == index, "entry \(first.index) was skipped: asked for \(index)")
        inFlight.removeFirst()
        return first.token
    }

    /// Whether the write waits for its answer. Looks at all of them.
    func isOpen(_ token: RequestToken) -> Bool {
        index(of: token) != nil || gathered.contains { $0.token == token }
    }

    /// Where the write stands in the log. The latest are looked at first.
    func index(of token: RequestToken) -> LogIndex? { inFlight.last { $0.token == token }?.index }

    /// Leadership was lost: whoever waits gets no answer from here.
    mutating func abandon() -> [RequestToken] {
        defer { inFlight.removeAll() }
        return inFlight.map(\.token)
    }

    func checkInvariants() {
        for (earlier, later) in zip(inFlight, inFlight.dropFirst()) {
            precondition(earlier.index < later.index, "proposals out of order: \(earlier.index), \(later.index)")
        }
    }
}
