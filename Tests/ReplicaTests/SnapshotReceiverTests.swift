import RaftCore
import Testing

@testable import Replica

@Suite struct SnapshotReceiverTests {
    private typealias Action = SnapshotReceiverMachine.Action
    private typealias Chunk = SnapshotReceiverMachine.Chunk

    private func snapshot(_ id: UInt64 = 7, from: UInt64 = 1, term: UInt64 = 4, index: UInt64 = 50) -> IncomingSnapshot
    {
        IncomingSnapshot(
            id: id, from: NodeID(from), term: Term(term), position: LogPosition(index: LogIndex(index), term: Term(3)),
            configuration: Configuration(voters: [
                Member(id: NodeID(1), disk: .unknown, peerAddress: "a", clientAddress: "b")
            ]))
    }

    private func chunk(
        _ snapshot: IncomingSnapshot, _ offset: UInt64, _ count: Int = 10, total: UInt64 = 25, isIntact: Bool = true
    ) -> Chunk {
        Chunk(snapshot: snapshot, totalBytes: total, offset: offset, count: count, isIntact: isIntact)
    }

    private func arrive(
        _ receiver: inout SnapshotReceiverMachine, _ chunk: Chunk, term: UInt64 = 4, applied: UInt64 = 10,
        now: UInt64 = 0
    ) -> [Action] {
        receiver.arrived(chunk, term: Term(term), applied: LogIndex(applied), now: now)
        return receiver.takeActions()
    }

    /// A receiver that has the first ten bytes of `snapshot()`.
    private func makeExpecting() -> SnapshotReceiverMachine {
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        _ = arrive(&receiver, chunk(snapshot(), 0))
        receiver.wrote(7)
        _ = receiver.takeActions()
        return receiver
    }

    private func answer(_ answer: SnapshotAnswer, id: UInt64 = 7, to peer: UInt64 = 1) -> Action {
        .answer(to: NodeID(peer), id: id, answer)
    }

    @Test("chunks are written one by one, the whole is verified, then offered to the replica, then called installed")
    func wholeTransfer() {
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        let snapshot = snapshot()
        for (offset, count, end) in [(UInt64(0), 10, UInt64(10)), (10, 10, 20), (20, 5, 25)] {
            #expect(arrive(&receiver, chunk(snapshot, offset, count)) == [.write])
            receiver.wrote(7)
            let last: [Action] = end == 25 ? [.verify(snapshot)] : []
            #expect(receiver.takeActions() == last + [answer(.received(end))])
        }
        receiver.verified(
            7, position: snapshot.position, configuration: snapshot.configuration, applied: LogIndex(10))
        #expect(receiver.takeActions() == [.offer(snapshot)])
        #expect(arrive(&receiver, chunk(snapshot, 25, 0)) == [answer(.received(25))])
        receiver.installed(7)
        #expect(receiver.takeActions() == [.remove(7), answer(.installed)])
        // The last word was lost; it is said again.
        #expect(arrive(&receiver, chunk(snapshot, 25, 0), applied: 50) == [answer(.installed)])
    }

    @Test("a chunk that is damaged, doubled or out of place is not written; the right one is asked for")
    func wrongChunks() {
        var receiver = makeExpecting()
        #expect(arrive(&receiver, chunk(snapshot(), 10, isIntact: false)) == [answer(.received(10))])
        #expect(arrive(&receiver, chunk(snapshot(), 0)) == [answer(.received(10))])
        #expect(arrive(&receiver, chunk(snapshot(), 20, 5)) == [answer(.received(10))])
        #expect(arrive(&receiver, chunk(snapshot(), 10)) == [.write])
        #expect(arrive(&receiver, chunk(snapshot(), 10)) == [])
    }

    @Test("a receiver that was restarted asks for the whole file, and takes a damaged first chunk for nothing")
    func restarted() {
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        #expect(arrive(&receiver, chunk(snapshot(), 20, 5)) == [answer(.received(0))])
        #expect(arrive(&receiver, chunk(snapshot(), 0, isIntact: false)) == [answer(.received(0))])
        #expect(arrive(&receiver, chunk(snapshot(), 0)) == [.write])
    }

    @Test("another transfer takes the place of one that is arriving, unless its leader is an older one")
    func otherSnapshot() {
        var receiver = makeExpecting()
        let next = snapshot(8, from: 3, term: 5, index: 60)
        #expect(
            arrive(&receiver, chunk(next, 10), term: 4) == [.remove(7), answer(.received(0), id: 8, to: 3)])
        #expect(arrive(&receiver, chunk(next, 0), term: 5) == [.write])
        receiver.wrote(8)
        _ = receiver.takeActions()
        #expect(
            arrive(&receiver, chunk(snapshot(), 10), term: 4) == [
                answer(.failed("a snapshot of term 5 is arriving"))
            ])
        #expect(arrive(&receiver, chunk(next, 10), term: 5) == [.write])
    }

    @Test("one that is complete is brought to its end before another is taken (etcd 18055)")
    func twoInShortOrder() {
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        _ = arrive(&receiver, chunk(snapshot(), 0, 25))
        let busy = answer(.failed("another snapshot is being taken in"), id: 8)
        #expect(arrive(&receiver, chunk(snapshot(8), 0)) == [busy])
        receiver.wrote(7)
        _ = receiver.takeActions()
        #expect(arrive(&receiver, chunk(snapshot(8), 0)) == [busy])
        receiver.verified(
            7, position: snapshot().position, configuration: snapshot().configuration, applied: LogIndex(10))
        _ = receiver.takeActions()
        #expect(arrive(&receiver, chunk(snapshot(8), 0)) == [busy])
        // What the runtime says of another is not taken for this one.
        receiver.installed(8)
        receiver.failed(8, "x")
        #expect(receiver.takeActions() == [])
        receiver.failed(7, "not needed any more")
        #expect(receiver.takeActions() == [.remove(7), answer(.failed("not needed any more"))])
        #expect(arrive(&receiver, chunk(snapshot(8), 0)) == [.write])
    }

    @Test(
        "a snapshot that is older than what is applied is not taken (openraft 0.7.3), nor one of a term that has passed"
    )
    func older() {
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        #expect(arrive(&receiver, chunk(snapshot(), 0), applied: 50) == [answer(.installed)])
        #expect(arrive(&receiver, chunk(snapshot(), 0), term: 5) == [answer(.failed("term 4 has passed"))])
        // The log overtakes it while it arrives.
        _ = arrive(&receiver, chunk(snapshot(), 0, 25))
        receiver.wrote(7)
        _ = receiver.takeActions()
        receiver.verified(
            7, position: snapshot().position, configuration: snapshot().configuration, applied: LogIndex(50))
        #expect(receiver.takeActions() == [.remove(7), answer(.installed)])
    }

    @Test("a file that is not what was announced is refused, and chunks that contradict each other are")
    func contradictions() {
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        _ = arrive(&receiver, chunk(snapshot(), 0, 25))
        receiver.wrote(7)
        _ = receiver.takeActions()
        receiver.verified(
            7, position: LogPosition(index: LogIndex(51), term: Term(3)), configuration: snapshot().configuration,
            applied: LogIndex(10))
        #expect(
            receiver.takeActions() == [.remove(7), answer(.failed("the file is of 51@3, announced was 50@3"))])
        receiver = makeExpecting()
        #expect(
            arrive(&receiver, chunk(snapshot(), 10, total: 30)) == [
                .remove(7), answer(.failed("its chunks are of different snapshots")),
            ])
        let huge = chunk(snapshot(), 0, total: SnapshotReceiverMachine.fileBytesMax + 1)
        #expect(arrive(&receiver, huge) != [.write])
    }

    @Test("a transfer of which nothing more is heard is forgotten at its deadline")
    func forgotten() {
        var receiver = makeExpecting()
        receiver.tick(now: 59_999)
        #expect(receiver.takeActions() == [])
        receiver.tick(now: 60_000)
        #expect(receiver.takeActions() == [.remove(7)])
        #expect(arrive(&receiver, chunk(snapshot(), 10), now: 60_001) == [answer(.received(0))])
    }
}
