internal import RaftCore

/// Reads on their way: gathered, confirmed by the leader as a batch (Diss. §6.4), then waiting until the state machine has
/// applied far enough.
struct ReadQueue {
    private struct Confirming {
        var id: UInt64
        var tokens: [RequestToken]
        var since: UInt64
    }

    private struct Waiting {
        var index: LogIndex
        var tokens: [RequestToken]
        var since: UInt64
    }

    private var gathered: [RequestToken] = []
    private var confirming: [Confirming] = []
    private var waiting: [Waiting] = []
    /// Never used twice by one process, so that a late answer cannot be taken for another read's.
    private var lastID: UInt64 = 0

    private(set) var count = 0

    mutating func gather(_ token: RequestToken) {
        gathered.append(token)
        count += 1
    }

    /// The gathered reads become one batch, if there are any.
    mutating func startBatch(now: UInt64) -> UInt64? {
        guard !gathered.isEmpty else { return nil }
        let id = drawID()
        confirming.append(Confirming(id: id, tokens: gathered, since: now))
        gathered.removeAll(keepingCapacity: true)
        return id
    }

    /// The id of a read that is none of the queue's.
    mutating func drawID() -> UInt64 {
        lastID += 1
        return lastID
    }

    /// The batch may be answered once `index` is applied.
    mutating func confirmed(_ id: UInt64, index: LogIndex) {
        guard let at = confirming.firstIndex(where: { $0.id == id }) else { return }
        let batch = confirming.remove(at: at)
        waiting.append(Waiting(index: index, tokens: batch.tokens, since: batch.since))
    }

    /// The batch cannot be confirmed; hands back who asked.
    mutating func dropped(_ id: UInt64) -> [RequestToken] {
        guard let at = confirming.firstIndex(where: { $0.id == id }) else { return [] }
        let tokens = confirming.remove(at: at).tokens
        count -= tokens.count
        return tokens
    }

    /// The batch could not be confirmed by a leader that is going; its reads ask the next one.
    mutating func askAgain(_ id: UInt64) {
        guard let at = confirming.firstIndex(where: { $0.id == id }) else { return }
        gathered += confirming.remove(at: at).tokens
    }

    /// A read that needs no confirmation, only that `index` is applied.
    mutating func wait(_ token: RequestToken, for index: LogIndex, now: UInt64) {
        waiting.append(Waiting(index: index, tokens: [token], since: now))
        count += 1
    }

    /// Takes out the reads that may be answered at `applied`.
    mutating func served(at applied: LogIndex) -> [RequestToken] {
        guard waiting.contains(where: { $0.index <= applied }) else { return [] }
        var tokens: [RequestToken] = []
        waiting.removeAll { batch in
            guard batch.index <= applied else { return false }
            tokens += batch.tokens
            return true
        }
        count -= tokens.count
        return tokens
    }

    /// Takes out all reads.
    mutating func removeAll() -> [RequestToken] {
        let tokens = gathered + confirming.flatMap(\.tokens) + waiting.flatMap(\.tokens)
        (gathered, confirming, waiting, count) = ([], [], [], 0)
        return tokens
    }

    /// Takes out the reads that have waited since before `oldest`.
    mutating func expired(before oldest: UInt64) -> [RequestToken] {
        var tokens: [RequestToken] = []
        confirming.removeAll { batch in
            guard batch.since < oldest else { return false }
            tokens += batch.tokens
            return true
        }
        waiting.removeAll { batch in
            guard batch.since < oldest else { return false }
            tokens += batch.tokens
            return true
        }
        count -= tokens.count
        return tokens
    }
}
