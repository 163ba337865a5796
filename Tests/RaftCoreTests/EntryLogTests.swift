import Testing

@testable import RaftCore

@Suite struct EntryLogTests {
    @Test("a batch is cut at its byte limit, but has at least one entry")
    func batches() {
        let log = EntryLog(base: .zero, entries: (1...4).map { makeEntry($0, 1, "12345678") })
        #expect(log.batch(from: 1, bytesMax: 80).entries.map(\.index) == [1, 2])
        #expect(log.batch(from: 2, bytesMax: 1).entries.map(\.index) == [2])
        #expect(log.batch(from: 4, bytesMax: 1_000).cost == 40)
        #expect(log.batch(from: 5, bytesMax: 1_000).entries.isEmpty)
        #expect(log.cost(of: LogIndex(2)..<LogIndex(4)) == 80)
    }

    @Test("the furthest place that can agree with another log is found by its term (Raft §5.3)")
    func agreement() {
        let log = EntryLog(
            base: at(10, 2),
            entries: makeEntries(11...15, term: 2) + makeEntries(16...20, term: 4) + makeEntries(21...22, term: 7))
        #expect(log.lastIndex(notAfter: 30, termAtMost: 9) == 22)
        #expect(log.lastIndex(notAfter: 22, termAtMost: 6) == 20)
        #expect(log.lastIndex(notAfter: 18, termAtMost: 4) == 18)
        #expect(log.lastIndex(notAfter: 18, termAtMost: 3) == 15)
        #expect(log.lastIndex(notAfter: 12, termAtMost: 2) == 12)
        // Nothing here agrees: only a snapshot helps.
        #expect(log.lastIndex(notAfter: 18, termAtMost: 1) == 9)
        #expect(log.lastIndex(notAfter: 4, termAtMost: 2) == 4)
    }

    @Test("truncation, compaction and reset keep the rest")
    func ends() {
        var log = EntryLog(base: .zero, entries: makeEntries(1...9, term: 3))
        log.truncate(from: 8)
        log.compact(to: 4)
        #expect(log.base == at(4, 3))
        #expect(log.last == at(7, 3))
        #expect(log.slice(LogIndex(5)..<LogIndex(8)).map(\.index) == [5, 6, 7])
        #expect(log.term(at: 4) == 3 && log.term(at: 3) == nil && log.term(at: 8) == nil)
        log.append(makeEntry(8, 5))
        #expect(log.last == at(8, 5))
        log.reset(to: at(20, 6))
        #expect(log.lastIndex == 20 && log.contains(at(20, 6)) && !log.contains(at(20, 5)))
    }

    @Test("the generator gives the published SplitMix64 numbers")
    func generator() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect(generator.next() == 6_457_827_717_110_365_317)
        #expect(generator.next() == 3_203_168_211_198_807_973)
    }

    @Test("options that make no sense are named")
    func options() {
        var options = Options()
        #expect(options.problem() == nil)
        options.heartbeatTicks = 10
        #expect(options.problem() == "electionTimeoutTicks is 10, not above heartbeatTicks 10")
        options = Options()
        options.pendingReadsMax = 0
        #expect(options.problem() == "a limit is 0, less than 1")
    }
}
