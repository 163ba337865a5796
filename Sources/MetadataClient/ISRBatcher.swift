import MetadataModel
import OrderedCollections
import Resilience

/// Gathers a broker's reports of in-sync replicas into batches, one under way at a time (KIP-497). Pure.
///
/// A report names the epochs that it is based on, so sending it again does no harm: the cluster carries it out once and
/// refuses it afterwards. Invariant: each report is answered exactly once.
struct ISRBatcher: Sendable {
    typealias Instant = ContinuousClock.Instant
    /// Names a report to whoever waits for its result.
    typealias Token = UInt64
    typealias Resolution = (token: Token, result: ISRReportResult)

    enum State: Sendable, Hashable {
        /// Nothing is under way. Exits: `sent`, `ended`.
        case idle
        /// A batch was sent. Exits: `idle` when it is answered, `waiting` when it failed, `ended`.
        case sent
        /// The last batch failed: until then nothing is sent. Exits: `sent`, `ended`.
        case waiting(until: Instant)
        case ended
    }

    private struct Report: Sendable {
        var content: Command.ISRReport
        var token: Token
    }

    private(set) var state = State.idle
    /// Reports to be sent; of each partition the latest.
    private var queued: OrderedDictionary<PartitionKey, Report> = [:]
    /// The batch under way, in the order sent; nil for what need not be answered any more.
    private var underWay: [Report?] = []
    private var backoff = Backoff(base: .milliseconds(50), cap: .seconds(1))
    private var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    /// Reports that wait in a broker, at most; one more is answered at once with `clientOverloaded`.
    static let queuedMax = 100_000

    var queuedCount: Int { queued.count }

    // MARK: Inputs

    mutating func add(_ report: Command.ISRReport, token: Token) -> [Resolution] {
        if state == .ended { return [(token, .failed(ISRBatcher.ended))] }
        let key = report.partition
        let earlier = queued[key]
        guard earlier != nil || queued.count < ISRBatcher.queuedMax else {
            return [(token, .failed(ISRBatcher.overloaded))]
        }
        queued[key] = Report(content: report, token: token)
        return earlier.map { [($0.token, .outdated)] } ?? []
    }

    /// The next batch, if there is one and it may be sent now.
    mutating func takeBatch(of broker: BrokerID, epoch: BrokerEpoch, now: Instant) -> Command.AlterPartitions? {
        switch state {
        case .sent, .ended: return nil
        case .waiting(let until): if now < until { return nil }
        case .idle: break
        }
        guard !queued.isEmpty else {
            state = .idle
            return nil
        }
        let count = min(queued.count, Limits.partitionsPerCommandMax)
        let batch = Array(queued.values.prefix(count))
        queued.removeFirst(count)
        underWay = batch
        state = .sent
        return Command.AlterPartitions(broker: broker, brokerEpoch: epoch, reports: batch.map(\.content))
    }

    /// The batch under way was carried out: one result for each report.
    mutating func answered(_ results: [PartitionResult]) -> [Resolution] {
        guard state == .sent else { return [] }
        precondition(results.count == underWay.count, "\(results.count) results for \(underWay.count) reports")
        let batch = underWay
        underWay = []
        state = .idle
        backoff.reset()
        return zip(batch, results).compactMap { report, result in
            guard let report else { return nil }
            switch result {
            case .done(_, let leaderEpoch, let partitionEpoch):
                rebase(report.content, leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch)
                return (report.token, .accepted(leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch))
            case .refused(let refusal):
                return (report.token, .refused(refusal))
            }
        }
    }

    /// A later report of the same leader was made without knowledge of the one that was just carried out. Nobody changed
    /// the partition in between, so it counts from there.
    private mutating func rebase(_ done: Command.ISRReport, leaderEpoch: Int32, partitionEpoch: Int32) {
        guard let later = queued[done.partition]?.content, leaderEpoch == done.leaderEpoch,
            later.leaderEpoch == done.leaderEpoch, later.partitionEpoch == done.partitionEpoch
        else { return }
        queued[done.partition]?.content.partitionEpoch = partitionEpoch
    }

    /// The batch under way was refused as a whole, or got no answer.
    mutating func failed(_ error: MetadataError, now: Instant) -> [Resolution] {
        guard state == .sent else { return [] }
        let batch = underWay.compactMap { $0 }
        underWay = []
        state = .waiting(until: now.advanced(by: backoff.next(using: &random)))
        if let refusal = error.refusal { return batch.map { ($0.token, .refused(refusal)) } }
        switch error.category {
        case .fatal, .invalidInput: return batch.map { ($0.token, .failed(error)) }
        case .retriable, .transient: break
        }
        var resolutions: [Resolution] = []
        for report in batch.reversed() {
            let key = report.content.partition
            if queued[key] != nil {
                resolutions.append((report.token, .outdated))
            } else {
                queued.updateValue(report, forKey: key, insertingAt: 0)
            }
        }
        return resolutions
    }

    /// The partition has this leader epoch now: what was reported under an earlier one cannot count any more. A change of
    /// the partition epoch alone is left to the cluster to judge: it may be our own.
    mutating func leaderEpochMoved(_ key: PartitionKey, to leaderEpoch: Int32) -> [Resolution] {
        guard let report = queued[key], report.content.leaderEpoch < leaderEpoch else { return [] }
        queued.removeValue(forKey: key)
        return [(report.token, .outdated)]
    }

    /// The replica is gone from this broker.
    mutating func dropped(_ key: PartitionKey) -> [Resolution] {
        queued.removeValue(forKey: key).map { [($0.token, .outdated)] } ?? []
    }

    /// The registration under which all this was reported is lost.
    mutating func unregistered() -> [Resolution] {
        let all = drain()
        if state != .ended, state != .sent { state = .idle }
        return all.map { ($0, .outdated) }
    }

    mutating func end() -> [Resolution] {
        let all = drain()
        state = .ended
        return all.map { ($0, .failed(ISRBatcher.ended)) }
    }

    private mutating func drain() -> [Token] {
        let all = underWay.compactMap { $0?.token } + queued.values.map(\.token)
        underWay = underWay.map { _ in nil }
        queued = [:]
        return all
    }

    private static let ended = MetadataError(
        CallFailure(.clientClosed, .indefinite, "the broker's session has ended"), operation: "reportISR")
    private static let overloaded = MetadataError(
        CallFailure(.clientOverloaded, .definite, "\(queuedMax) reports of in-sync replicas wait already"),
        operation: "reportISR")
}
