import MetadataModel
import Testing

@testable import MetadataClient

@Suite("ISRBatcher")
struct ISRBatcherTests {
    private let now = ContinuousClock().now
    private let broker = BrokerID(1)
    private let epoch = BrokerEpoch(5)

    private func key(_ number: Int) -> PartitionKey {
        PartitionKey(topic: TopicID(high: 1, low: 1), index: PartitionIndex(Int32(number)))
    }

    private func report(
        _ number: Int, leaderEpoch: Int32 = 3, partitionEpoch: Int32 = 7, isr: [Int32] = [1, 2]
    ) -> Command.ISRReport {
        Command.ISRReport(
            partition: key(number), leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch,
            isr: isr.map { BrokerID($0) })
    }

    /// In a form that can be compared.
    private func answers(_ resolutions: [ISRBatcher.Resolution]) -> [UInt64: ISRReportResult] {
        Dictionary(uniqueKeysWithValues: resolutions.map { ($0.token, $0.result) })
    }

    private func taken(_ batcher: inout ISRBatcher) -> [Int32] {
        batcher.takeBatch(of: broker, epoch: epoch, now: now)?.reports.map(\.partition.index.rawValue) ?? []
    }

    private func error(_ code: MetadataError.Code) -> MetadataError {
        MetadataError(CallFailure(code, .indefinite, ""), operation: "test")
    }

    @Test("one batch is under way at a time, with what was reported until it left; each result finds its report")
    func batches() {
        var batcher = ISRBatcher(seed: 1)
        for number in 0..<3 { _ = batcher.add(report(number), token: UInt64(number)) }
        #expect(taken(&batcher) == [0, 1, 2])
        _ = batcher.add(report(3), token: 3)
        #expect(taken(&batcher) == [], "a second batch left while one is under way")
        let refusal = Refusal(.stalePartitionEpoch, "")
        let results = answers(
            batcher.answered([
                .done(leader: broker, leaderEpoch: 3, partitionEpoch: 8), .refused(refusal),
                .done(leader: broker, leaderEpoch: 3, partitionEpoch: 9),
            ]))
        #expect(
            results == [
                0: .accepted(leaderEpoch: 3, partitionEpoch: 8), 1: .refused(refusal),
                2: .accepted(leaderEpoch: 3, partitionEpoch: 9),
            ])
        #expect(taken(&batcher) == [3])
    }

    @Test("a batch holds no more than the cluster takes")
    func limit() {
        var batcher = ISRBatcher(seed: 1)
        for number in 0..<Limits.partitionsPerCommandMax + 1 { _ = batcher.add(report(number), token: UInt64(number)) }
        #expect(taken(&batcher).count == Limits.partitionsPerCommandMax)
        #expect(batcher.queuedCount == 1)
    }

    @Test("a newer report of a partition takes the place of one that has not left")
    func replaced() {
        var batcher = ISRBatcher(seed: 1)
        #expect(batcher.add(report(0), token: 1).isEmpty)
        #expect(answers(batcher.add(report(0, isr: [1]), token: 2)) == [1: .outdated])
        let batch = batcher.takeBatch(of: broker, epoch: epoch, now: now)
        #expect(batch?.reports == [report(0, isr: [1])])
    }

    @Test("a report made while one of the same partition was under way counts from the epoch which that one brought")
    func rebased() {
        var batcher = ISRBatcher(seed: 1)
        _ = batcher.add(report(0), token: 1)
        _ = taken(&batcher)
        _ = batcher.add(report(0, isr: [1, 2, 3]), token: 2)
        _ = batcher.answered([.done(leader: broker, leaderEpoch: 3, partitionEpoch: 8)])
        let next = batcher.takeBatch(of: broker, epoch: epoch, now: now)
        #expect(next?.reports == [report(0, partitionEpoch: 8, isr: [1, 2, 3])])
    }

    @Test("a report that was made with knowledge of a later epoch is not changed")
    func notRebased() {
        var batcher = ISRBatcher(seed: 1)
        _ = batcher.add(report(0), token: 1)
        _ = taken(&batcher)
        _ = batcher.add(report(0, partitionEpoch: 12), token: 2)
        _ = batcher.answered([.done(leader: broker, leaderEpoch: 3, partitionEpoch: 8)])
        #expect(batcher.takeBatch(of: broker, epoch: epoch, now: now)?.reports == [report(0, partitionEpoch: 12)])
    }

    @Test("a batch that got no answer is sent again after a pause, without what was replaced meanwhile")
    func retried() {
        var batcher = ISRBatcher(seed: 1)
        for number in 0..<3 { _ = batcher.add(report(number), token: UInt64(number)) }
        _ = taken(&batcher)
        _ = batcher.add(report(1, isr: [1]), token: 9)
        #expect(answers(batcher.failed(error(.timedOut), now: now)) == [1: .outdated])
        guard case .waiting(let until) = batcher.state else {
            Issue.record("no pause after a failure, but \(batcher.state)")
            return
        }
        let again = batcher.takeBatch(of: broker, epoch: epoch, now: until)
        #expect(again?.reports == [report(0), report(2), report(1, isr: [1])])
    }

    @Test("the pause after a failure is kept")
    func pause() {
        // A seed whose first pause is not zero.
        var batcher = ISRBatcher(seed: 2)
        _ = batcher.add(report(0), token: 1)
        _ = taken(&batcher)
        _ = batcher.failed(error(.unavailable), now: now)
        guard case .waiting(let until) = batcher.state else { return }
        #expect(until > now)
        #expect(taken(&batcher) == [])
    }

    @Test("a refusal of the whole batch, and an error that no retry helps, are every report's result")
    func refusedWhole() {
        let refusal = Refusal(.staleBrokerEpoch, "")
        var batcher = ISRBatcher(seed: 1)
        _ = batcher.add(report(0), token: 1)
        _ = taken(&batcher)
        let refused = MetadataError(.refused(refusal), operation: "test")
        #expect(answers(batcher.failed(refused, now: now)) == [1: .refused(refusal)])
        _ = batcher.add(report(0), token: 2)
        _ = batcher.takeBatch(of: broker, epoch: epoch, now: now.advanced(by: .seconds(9)))
        let closed = error(.clientClosed)
        #expect(answers(batcher.failed(closed, now: now)) == [2: .failed(closed)])
    }

    @Test("a leader epoch that moved on drops what was reported under an earlier one; a partition epoch does not")
    func moved() {
        var batcher = ISRBatcher(seed: 1)
        _ = batcher.add(report(0), token: 1)
        _ = batcher.add(report(1), token: 2)
        #expect(batcher.leaderEpochMoved(key(0), to: 3).isEmpty)
        #expect(answers(batcher.leaderEpochMoved(key(0), to: 4)) == [1: .outdated])
        #expect(answers(batcher.dropped(key(1))) == [2: .outdated])
        #expect(taken(&batcher) == [])
    }

    @Test("a lost registration drops everything, also what is under way; its late results mean nothing")
    func unregistered() {
        var batcher = ISRBatcher(seed: 1)
        _ = batcher.add(report(0), token: 1)
        _ = taken(&batcher)
        _ = batcher.add(report(1), token: 2)
        #expect(answers(batcher.unregistered()) == [1: .outdated, 2: .outdated])
        #expect(batcher.answered([.done(leader: broker, leaderEpoch: 3, partitionEpoch: 8)]).isEmpty)
        _ = batcher.add(report(2), token: 3)
        #expect(taken(&batcher) == [2])
    }

    @Test("the end of the session answers everybody, and everybody who comes later")
    func ended() {
        var batcher = ISRBatcher(seed: 1)
        _ = batcher.add(report(0), token: 1)
        _ = taken(&batcher)
        _ = batcher.add(report(1), token: 2)
        let all = answers(batcher.end())
        #expect(all.keys.sorted() == [1, 2])
        #expect(batcher.add(report(2), token: 3).count == 1)
        #expect(batcher.answered([.done(leader: broker, leaderEpoch: 3, partitionEpoch: 8)]).isEmpty)
        #expect(taken(&batcher) == [])
    }

    @Test("one report too many is refused at once")
    func full() {
        var batcher = ISRBatcher(seed: 1)
        for number in 0..<ISRBatcher.queuedMax { _ = batcher.add(report(number), token: UInt64(number)) }
        guard case .failed(let error)? = batcher.add(report(-1), token: 1 << 40).first?.result else {
            Issue.record("the queue has no end")
            return
        }
        #expect(error.code == .clientOverloaded)
    }
}
