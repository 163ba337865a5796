import RaftCore
import Testing

@testable import Replica

/// Sender and receiver together, over a network that loses, doubles, damages and reorders, with restarts on both sides.
@Suite struct SnapshotTransferTests {
    private enum Packet {
        case chunk(SnapshotSenderMachine.Chunk, isIntact: Bool)
        case answer(id: UInt64, SnapshotAnswer)
    }

    /// A leader, a follower and what is between them. The file's byte at `n` is `n`, so what arrives can be compared.
    private struct World {
        var sender: SnapshotSenderMachine
        var receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
        var generator: SeededGenerator
        var now: UInt64 = 0
        /// With the moment of arrival.
        var network: [(at: UInt64, packet: Packet)] = []
        var received: [UInt8] = []
        var applied = LogIndex(1)
        var isReported = false
        var term = Term(4)
        var restarts = 0
        let fileBytes = 1_000
        let faults: Int

        init(seed: UInt64, faults: Int) {
            generator = SeededGenerator(seed: seed, stream: 1)
            self.faults = faults
            sender = SnapshotSenderMachine(
                options: .init(chunkBytes: 64, bytesPerSecond: 100_000, timeoutMilliseconds: 60_000), firstID: seed,
                now: 0)
            sender.leads(term, now: 0)
        }

        mutating func happens() -> Bool { generator.below(100) < faults }

        mutating func transmit(_ packet: Packet) {
            for _ in 0..<(happens() ? 2 : 1) where !happens() {
                network.append((now + 1 + UInt64(generator.below(happens() ? 300 : 5)), packet))
            }
        }

        mutating func perform() {
            for action in sender.takeActions() {
                switch action {
                case .copy(let id):
                    sender.copied(
                        id, position: LogPosition(index: LogIndex(50), term: term), bytes: UInt64(fileBytes), now: now)
                case .send(let chunk): transmit(.chunk(chunk, isIntact: !happens()))
                case .report(_, let succeeded):
                    if succeeded { isReported = true } else { sender.wanted(by: NodeID(2), now: now) }
                case .remove, .resumed, .turnMissed, .ended: break
                }
            }
            sender.checkInvariants()
        }

        mutating func perform(_ chunk: SnapshotSenderMachine.Chunk) {
            for action in receiver.takeActions() {
                switch action {
                case .write:
                    let start = Int(chunk.offset)
                    #expect(start <= received.count, "a hole before \(start) in a file of \(received.count) bytes")
                    received.removeSubrange(min(start, received.count)...)
                    received += (start..<start + chunk.count).map { UInt8(truncatingIfNeeded: $0) }
                    receiver.wrote(chunk.id)
                case .verify(let snapshot):
                    #expect(received == (0..<fileBytes).map { UInt8(truncatingIfNeeded: $0) })
                    receiver.verified(
                        snapshot.id, position: snapshot.position, configuration: snapshot.configuration,
                        applied: applied)
                case .offer(let snapshot):
                    applied = snapshot.position.index
                    receiver.installed(snapshot.id)
                case .remove: received = []
                case .answer(_, let id, let answer): transmit(.answer(id: id, answer))
                }
            }
        }

        mutating func deliver() {
            let due = network.filter { $0.at <= now }
            network.removeAll { $0.at <= now }
            for (_, packet) in due {
                switch packet {
                case .chunk(let chunk, let isIntact):
                    let snapshot = IncomingSnapshot(
                        id: chunk.id, from: NodeID(1), term: chunk.term,
                        position: LogPosition(index: LogIndex(50), term: chunk.term), configuration: .empty)
                    receiver.arrived(
                        SnapshotReceiverMachine.Chunk(
                            snapshot: snapshot, totalBytes: UInt64(fileBytes), offset: chunk.offset, count: chunk.count,
                            isIntact: isIntact), term: term, applied: applied, now: now)
                    // The machine's own follow-ups, until it rests.
                    for _ in 0..<4 { perform(chunk) }
                case .answer(let id, let answer):
                    sender.answered(answer, id: id, from: NodeID(2), now: now)
                }
            }
        }

        /// A fault of the larger kind, now and then.
        mutating func disturb() {
            guard faults > 0, restarts < 5, generator.below(200) == 0 else { return }
            restarts += 1
            switch generator.below(3) {
            case 0:
                receiver = SnapshotReceiverMachine(timeoutMilliseconds: 60_000)
                received = []
            case 1:
                network.removeAll()
                sender.connected(to: NodeID(2), now: now)
            default:
                term = term.next
                sender.leads(nil, now: now)
                sender.leads(term, now: now)
                sender.wanted(by: NodeID(2), now: now)
            }
        }

        /// Until the transfer is reported, or simulated minutes have passed.
        mutating func run() {
            sender.wanted(by: NodeID(2), now: now)
            perform()
            while !isReported, now < 600_000 {
                now += 1
                disturb()
                deliver()
                sender.tick(now: now, members: [NodeID(1), NodeID(2)])
                receiver.tick(now: now)
                perform()
            }
        }
    }

    @Test("without faults each byte is sent once")
    func clean() {
        var world = World(seed: 1, faults: 0)
        world.run()
        #expect(world.isReported && world.applied == LogIndex(50))
        #expect(world.now < 200)
    }

    @Test("whatever is lost, doubled, damaged, reordered or restarted, the same bytes arrive and the transfer ends")
    func faults() {
        for seed in UInt64(1)...100 {
            var world = World(seed: seed, faults: 2 + Int(seed % 20))
            world.run()
            #expect(world.isReported, "seed \(seed): not done after \(world.now) ms")
            #expect(world.applied == LogIndex(50), "seed \(seed): called installed and is not")
        }
    }
}
