import RaftCore
import RaftLog
import Testing

@testable import Simulation

@Suite("Parts of a simulated world")
struct WorldTests {
    @Test("events come by time, and at the same time in the order in which they were planned")
    func eventQueue() {
        var queue = EventQueue<Int>()
        var generator = SeededGenerator(seed: 11)
        var expected: [(time: UInt64, number: Int)] = []
        for number in 0..<500 {
            let time = UInt64(generator.below(50))
            queue.plan(in: time, number)
            expected.append((time, number))
        }
        expected.sort { $0.time != $1.time ? $0.time < $1.time : $0.number < $1.number }
        var found: [Int] = []
        while let event = queue.next(before: 40) {
            found.append(event)
            #expect(queue.now == expected[found.count - 1].time)
        }
        #expect(found == expected.filter { $0.time < 40 }.map(\.number))
        #expect(queue.now == 40)
        queue.plan(in: 0, 1_000)
        for number in expected.filter({ $0.time == 40 }).map(\.number) + [1_000] {
            #expect(queue.next(before: 41) == number, "planned for now, behind what was planned for then")
        }
    }

    @Test("a bridge leaves one member that all others hear, a ring two neighbours for each (Cloudflare, November 2020)")
    func topologies() {
        let members = (1...5).map { NodeID(UInt64($0)) }
        func cut(_ topology: Topology, _ one: NodeID, _ other: NodeID) -> Bool {
            topology.cut.contains(.init(from: one, to: other)) || topology.cut.contains(.init(from: other, to: one))
        }
        let bridge = Topology(.bridge, members: members) { _ in 2 }
        #expect(members.allSatisfy { $0 == members[2] || !cut(bridge, members[2], $0) })
        #expect(cut(bridge, members[0], members[4]))
        #expect(!cut(bridge, members[0], members[1]))
        let ring = Topology(.ring, members: members) { _ in 0 }
        for (place, member) in members.enumerated() {
            let heard = members.filter { $0 != member && !cut(ring, member, $0) }
            #expect(Set(heard) == [members[(place + 1) % 5], members[(place + 4) % 5]])
        }
        let oneWay = Topology(.oneWay, members: members) { $0 == 3 ? 0 : 1 }
        #expect(oneWay.cut.count == 4)
        #expect(oneWay.cut.allSatisfy { $0.to == members[1] })
    }

    @Test("taking one kind of fault out leaves the plans of the others as they were")
    func streams() {
        for seed in UInt64(0)..<50 {
            var all = FaultPlan(seed: seed, wanted: .all)
            var wanted = FaultKinds.all
            wanted.remove(.kill)
            var without = FaultPlan(seed: seed, wanted: wanted)
            #expect(!without.kinds.contains(.kill))
            var expected = all.kinds
            expected.remove(.kill)
            #expect(without.kinds == expected)
            #expect(all.draw(.pause, below: 1_000_000) == without.draw(.pause, below: 1_000_000))
            #expect(all.delayMicrosecondsMax == without.delayMicrosecondsMax)
        }
    }

    @Test("what a restarted log lacks of what was synced is told, and what was under way is not")
    func lossOfSynced() {
        func entry(_ index: UInt64, _ term: UInt64) -> Entry {
            Entry(term: Term(term), index: LogIndex(index), kind: .noop, payload: [])
        }
        func recovered(_ entries: [Entry], term: UInt64 = 2, vote: UInt64? = 1) -> RecoveredLog {
            RecoveredLog(
                hardState: HardState(term: Term(term), vote: vote.map { NodeID($0) }), base: .zero, entries: entries)
        }
        let whole = [entry(1, 1), entry(2, 1), entry(3, 2)]
        let synced = SyncedLog(recovered(whole))
        #expect(synced.loss(in: recovered(whole), underWay: []) == nil)
        #expect(synced.loss(in: recovered(whole + [entry(4, 2)]), underWay: []) == nil)
        #expect(synced.loss(in: recovered(Array(whole.prefix(2))), underWay: []) != nil)
        #expect(synced.loss(in: recovered([entry(1, 1), entry(2, 2), entry(3, 2)]), underWay: []) != nil)
        #expect(synced.loss(in: recovered(whole, vote: 2), underWay: []) != nil, "another vote in the same term")
        #expect(synced.loss(in: recovered(whole, term: 3, vote: 2), underWay: []) == nil)
        let truncation = LogJob.write(Persist(sequence: 9, truncateFrom: LogIndex(3), entries: [entry(3, 3)]))
        #expect(synced.loss(in: recovered(Array(whole.prefix(2))), underWay: [truncation]) == nil)
        #expect(synced.loss(in: recovered(Array(whole.prefix(1))), underWay: [truncation]) != nil)
    }

    @Test("kinds of faults have names that the command line takes back")
    func names() {
        for kind in FaultKind.allCases { #expect(FaultKind(name: kind.name) == kind) }
        #expect(FaultKind(name: "none") == nil)
        #expect(FaultKinds([.wipe, .kill]).description == "kill,wipe")
        #expect(FaultKind.allCases.count <= 64, "a set of kinds is 64 bits")
    }
}
