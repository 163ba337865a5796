import MetadataModel
import RaftCore
import Testing

@testable import Replica

@Suite("The table of brokers")
struct BrokerTableTests {
    private func broker(_ id: Int32, epoch: UInt64 = 1) -> Broker {
        Broker(
            id: BrokerID(id), epoch: BrokerEpoch(epoch), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: .active, version: Version(1))
    }

    @Test("it is what a dictionary is, and in order, whatever comes and goes")
    func likeADictionary() {
        var generator = SeededGenerator(seed: 7)
        var table = BrokerTable([broker(9), broker(3)])
        var model: [BrokerID: Broker] = [BrokerID(9): broker(9), BrokerID(3): broker(3)]
        for round in UInt64(0)..<2_000 {
            let id = Int32.random(in: 0..<40, using: &generator)
            let next = Bool.random(using: &generator) ? broker(id, epoch: round) : nil
            table[BrokerID(id)] = next
            model[BrokerID(id)] = next
            #expect(table[BrokerID(id)] == next)
            let other = BrokerID(Int32.random(in: 0..<42, using: &generator))
            #expect(table[other] == model[other])
        }
        #expect(table.all == model.values.sorted { $0.id < $1.id })
    }
}
