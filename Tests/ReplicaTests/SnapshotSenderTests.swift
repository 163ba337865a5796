import RaftCore
import Resilience
import Testing

@testable import Replica

@Suite struct SnapshotSenderTests {
    private typealias Action = SnapshotSenderMachine.Action
    private typealias Chunk = SnapshotSenderMachine.Chunk
    private let members: [NodeID] = [NodeID(1), NodeID(2), NodeID(3)]
    private let position = LogPosition(index: LogIndex(50), term: Term(4))

    /// A leader of term 4 with chunks of 10 bytes and no limit that matters.
    private func makeSender(bytesPerSecond: Int = 1 << 30, timeout: UInt64 = 60_000) -> SnapshotSenderMachine {
        var sender = SnapshotSenderMachine(
            options: .init(chunkBytes: 10, bytesPerSecond: bytesPerSecond, timeoutMilliseconds: timeout), firstID: 100,
            now: 0)
        sender.leads(Term(4), now: 0)
        return sender
    }

    private func chunk(_ offset: UInt64, _ count: Int = 10, id: UInt64 = 101, to peer: UInt64 = 2) -> Action {
        .send(Chunk(id: id, to: NodeID(peer), term: Term(4), offset: offset, count: count))
    }

    private func ended(
        _ sender: inout SnapshotSenderMachine, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> SnapshotSenderMachine.Summary {
        sender.checkInvariants()
        for action in sender.takeActions() { if case .ended(let summary) = action { return summary } }
        throw try #require(nil as (any Error)?, "no transfer ended", sourceLocation: sourceLocation)
    }

    @Test("a snapshot is spooled first, sent chunk by chunk as the receiver has the last, and reported once")
    func wholeTransfer() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 1)
        #expect(sender.takeActions() == [.copy(101)])
        sender.copied(101, position: position, bytes: 25, now: 2)
        #expect(sender.takeActions() == [chunk(0)])
        sender.answered(.received(10), id: 101, from: NodeID(2), now: 3)
        #expect(sender.takeActions() == [chunk(10)])
        sender.answered(.received(20), id: 101, from: NodeID(2), now: 4)
        #expect(sender.takeActions() == [chunk(20, 5)])
        // All is there; an empty chunk asks for the end.
        sender.answered(.received(25), id: 101, from: NodeID(2), now: 5)
        #expect(sender.takeActions() == [chunk(25, 0)])
        sender.answered(.installed, id: 101, from: NodeID(2), now: 9)
        let summary = SnapshotSenderMachine.Summary(
            to: NodeID(2), succeeded: true, reason: "installed", fileBytes: 25, sentBytes: 25, milliseconds: 8)
        #expect(sender.takeActions() == [.remove(101), .ended(summary), .report(NodeID(2), succeeded: true)])
        sender.checkInvariants()
        #expect(sender.wakeAt == nil)
    }

    @Test("one transfer at a time: the second follower waits for the first, also when that one fails")
    func oneAtATime() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.wanted(by: NodeID(3), now: 0)
        sender.wanted(by: NodeID(3), now: 0)
        #expect(sender.takeActions() == [.copy(101)])
        sender.failed(101, "disk full", now: 1)
        #expect(sender.takeActions().last == .copy(102))
        sender.checkInvariants()
        sender.copied(102, position: position, bytes: 5, now: 2)
        #expect(sender.takeActions() == [chunk(0, 5, id: 102, to: 3)])
    }

    @Test("who waits for its turn for 30 s is reported, so that it is asked again; the other is served on")
    func missedTurn() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 1_000, now: 0)
        sender.wanted(by: NodeID(3), now: 5_000)
        for second in UInt64(1)...34 {
            sender.answered(.received(second * 10), id: 101, from: NodeID(2), now: second * 1_000)
            sender.tick(now: second * 1_000, members: members)
        }
        #expect(!sender.takeActions().contains { if case .turnMissed = $0 { true } else { false } })
        sender.tick(now: 35_000, members: members)
        #expect(
            sender.takeActions().filter { if case .send = $0 { false } else { true } } == [
                .turnMissed(NodeID(3), behind: NodeID(2)), .report(NodeID(3), succeeded: false),
            ])
        // It may ask again, and comes next.
        sender.wanted(by: NodeID(3), now: 35_001)
        sender.checkInvariants()
        sender.answered(.installed, id: 101, from: NodeID(2), now: 35_002)
        #expect(sender.takeActions().last == .copy(102))
        #expect(sender.turnReading.counts.timedOut == 1)
    }

    @Test("a chunk that nothing is heard of leaves again, and a broken connection goes on where the receiver stood")
    func resume() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 0)
        sender.answered(.received(10), id: 101, from: NodeID(2), now: 1)
        _ = sender.takeActions()
        #expect(sender.wakeAt == 2_001)
        sender.tick(now: 2_000, members: members)
        #expect(sender.takeActions() == [])
        sender.tick(now: 2_001, members: members)
        #expect(sender.takeActions() == [chunk(10)])
        sender.connected(to: NodeID(3), now: 2_100)
        #expect(sender.takeActions() == [])
        sender.connected(to: NodeID(2), now: 2_100)
        #expect(sender.takeActions() == [.resumed(to: NodeID(2), offset: 10), chunk(10)])
        // The receiver has more than was known here, then is restarted and has nothing.
        sender.answered(.received(20), id: 101, from: NodeID(2), now: 2_101)
        #expect(sender.takeActions() == [chunk(20)])
        sender.answered(.received(0), id: 101, from: NodeID(2), now: 2_102)
        #expect(sender.takeActions() == [chunk(0)])
    }

    @Test("an answer that is doubled does not double the chunks, and a damaged chunk leaves again after a moment")
    func doubledAnswer() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 0)
        sender.answered(.received(10), id: 101, from: NodeID(2), now: 10)
        _ = sender.takeActions()
        for _ in 1...3 { sender.answered(.received(10), id: 101, from: NodeID(2), now: 11) }
        #expect(sender.takeActions() == [])
        #expect(sender.wakeAt == 110)
        sender.tick(now: 110, members: members)
        #expect(sender.takeActions() == [chunk(10)])
    }

    @Test("bandwidth is bounded over time, whatever was saved up before", arguments: [1, 7, 1_000])
    func bandwidth(bytesPerSecond: Int) throws {
        var sender = makeSender(bytesPerSecond: bytesPerSecond, timeout: 10_000_000)
        var now: UInt64 = 1_000_000
        sender.wanted(by: NodeID(2), now: now)
        sender.copied(101, position: position, bytes: 200, now: now)
        let start = now
        var sent = 0
        while sent < 200 {
            for case .send(let chunk) in sender.takeActions() {
                sent += chunk.count
                // One chunk that was saved up and one that is owed.
                let allowed = Double(now - start) * Double(bytesPerSecond) / 1_000 + 20
                #expect(Double(sent) <= allowed, "\(sent) bytes after \(now - start) ms")
                sender.answered(.received(UInt64(sent)), id: 101, from: NodeID(2), now: now)
            }
            guard sent < 200 else { break }
            let wake = try #require(sender.wakeAt)
            #expect(wake > now, "it asks to be woken at once for ever")
            now = max(wake, now + 1)
            sender.tick(now: now, members: members)
        }
        let fastest = UInt64(180_000 / bytesPerSecond)
        #expect(now - start >= fastest && now - start <= fastest + 200_000 / UInt64(bytesPerSecond) + 30)
    }

    @Test("a transfer without progress ends at its deadline; answers that say nothing new are none")
    func timeout() throws {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 5)
        sender.answered(.received(10), id: 101, from: NodeID(2), now: 10)
        for now in stride(from: UInt64(1_000), to: 60_000, by: 1_000) {
            sender.answered(.received(10), id: 101, from: NodeID(2), now: now)
            sender.tick(now: now, members: members)
        }
        let before = sender.takeActions()
        #expect(!before.contains(.remove(101)))
        sender.tick(now: 60_010, members: members)
        let summary = try ended(&sender)
        #expect(summary.reason == "no progress for 60000 ms" && !summary.succeeded)
        #expect(summary.isTimeout)
    }

    @Test("a follower whose transfer failed is reported after a pause that grows with each failure")
    func pauses() {
        var sender = makeSender()
        var now: UInt64 = 0
        for (attempt, pause) in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].enumerated() {
            sender.wanted(by: NodeID(2), now: now)
            sender.failed(101 + UInt64(attempt), "no", now: now)
            _ = sender.takeActions()
            // The replica hears of it later; until then it does not ask again, and nobody else is held up.
            sender.tick(now: now + UInt64(pause) - 1, members: members)
            #expect(sender.takeActions() == [])
            now += UInt64(pause)
            sender.tick(now: now, members: members)
            #expect(sender.takeActions() == [.report(NodeID(2), succeeded: false)])
        }
    }

    @Test("a deposed leader stops at once and reports nothing: the next term's followers are not its own")
    func deposed() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.wanted(by: NodeID(3), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 0)
        _ = sender.takeActions()
        sender.leads(nil, now: 7)
        sender.checkInvariants()
        let summary = SnapshotSenderMachine.Summary(
            to: NodeID(2), succeeded: false, reason: "no longer the leader", fileBytes: 100, sentBytes: 10,
            milliseconds: 7)
        #expect(sender.takeActions() == [.remove(101), .ended(summary)])
        sender.answered(.received(10), id: 101, from: NodeID(2), now: 8)
        sender.tick(now: 100_000, members: members)
        #expect(sender.takeActions() == [])
        sender.leads(Term(6), now: 9)
        sender.wanted(by: NodeID(2), now: 9)
        #expect(sender.takeActions() == [.copy(102)])
    }

    @Test("a copy that holds entries of a later term is not sent by the leader of the earlier one")
    func copyOfLaterTerm() throws {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.copied(101, position: LogPosition(index: LogIndex(50), term: Term(5)), bytes: 100, now: 1)
        #expect(try !ended(&sender).succeeded)
    }

    @Test("who is no member any more gets nothing, and holds nobody up")
    func removedMember() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 0)
        _ = sender.takeActions()
        sender.tick(now: 1, members: [NodeID(1), NodeID(3)])
        #expect(sender.takeActions().first == .remove(101))
        sender.checkInvariants()
        #expect(sender.wakeAt == nil)
    }

    @Test("who waits has its turn when the follower that is served is no member any more")
    func removedWhileOtherWaits() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.wanted(by: NodeID(3), now: 0)
        _ = sender.takeActions()
        sender.tick(now: 1, members: [NodeID(1), NodeID(3)])
        #expect(sender.takeActions().last == .copy(102))
        sender.checkInvariants()
    }

    @Test("a state that turned out to be damaged is sent to nobody, and all who were to have it are reported")
    func endedAll() {
        var sender = makeSender()
        sender.wanted(by: NodeID(2), now: 0)
        sender.wanted(by: NodeID(3), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 0)
        _ = sender.takeActions()
        sender.endAll("damaged", now: 1)
        sender.checkInvariants()
        #expect(sender.takeActions().first == .remove(101))
        sender.tick(now: 10_000, members: members)
        let reports = sender.takeActions()
        #expect(Set(reports) == [.report(NodeID(2), succeeded: false), .report(NodeID(3), succeeded: false)])
    }

    @Test("answers of strangers, of other transfers and of impossible offsets have no effect")
    func foreignAnswers() {
        var sender = makeSender()
        sender.answered(.installed, id: 101, from: NodeID(2), now: 0)
        sender.wanted(by: NodeID(2), now: 0)
        sender.answered(.installed, id: 101, from: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 100, now: 0)
        _ = sender.takeActions()
        sender.answered(.installed, id: 101, from: NodeID(3), now: 0)
        sender.answered(.failed("x"), id: 99, from: NodeID(2), now: 0)
        sender.answered(.received(101), id: 101, from: NodeID(2), now: 0)
        sender.answered(.received(.max), id: 101, from: NodeID(2), now: 0)
        sender.copied(101, position: position, bytes: 7, now: 0)
        #expect(sender.takeActions() == [])
        sender.checkInvariants()
    }
}
