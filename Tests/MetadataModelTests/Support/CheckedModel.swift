import MetadataModel
import Testing

extension Model {
    /// Fails the test when something does not hold that must hold after every entry.
    func checkInvariants(_ comment: @autoclosure () -> String = "") {
        let violations = violations()
        #expect(violations.isEmpty, "\(comment())")
    }

    func violations() -> [String] {
        var found: [String] = []
        func check(_ holds: Bool, _ violation: @autoclosure () -> String) {
            if !holds { found.append(violation()) }
        }
        let brokers = storage.brokers()
        let states = Dictionary(uniqueKeysWithValues: brokers.map { ($0.id, $0.state) })
        var loads: [BrokerID: BrokerLoad] = [:]
        var partitionCount = 0
        let topics = storage.topics(after: nil, limit: .max)
        for topic in topics {
            let partitions = storage.partitions(of: topic.id)
            partitionCount += partitions.count
            check(partitions.count == Int(topic.partitionCount), "\(topic.name) lacks partitions")
            for partition in partitions {
                found += Model.violations(of: partition, states).map { "\(topic.name)-\(partition.key.index): \($0)" }
                for replica in partition.replicas {
                    loads[replica, default: BrokerLoad(id: replica, replicas: 0, leaders: 0)].replicas += 1
                }
                if let leader = partition.leader { loads[leader]?.leaders += 1 }
            }
        }
        let counted = MetadataTotals(
            brokers: brokers.count, topics: topics.count, partitions: partitionCount,
            sessions: machine.sessions.states().count)
        check(machine.totals() == counted, "the totals are \(machine.totals()), counted are \(counted)")
        check(storage.brokerLoads() == loads.values.sorted { $0.id < $1.id }, "the loads are not what is counted")
        check(machine.digest == recomputedDigest, "the digest is not the sum over all rows")
        check(machine.version.rawValue <= index, "version \(machine.version) is beyond entry \(index)")
        return found
    }

    var recomputedDigest: UInt64 {
        machine.sessions.states().reduce(storage.digest()) { $0 &+ StateDigest.of($1) }
    }

    private static func violations(of partition: Partition, _ states: [BrokerID: Broker.State]) -> [String] {
        var found: [String] = []
        let (replicas, isr) = (partition.replicas, partition.isr)
        if isr.isEmpty { found.append("the ISR is empty") }
        if Set(replicas).count != replicas.count { found.append("a replica twice") }
        if isr != replicas.filter(isr.contains) { found.append("the ISR is no part of the replicas in their order") }
        if !replicas.allSatisfy({ states[$0] != nil }) { found.append("a replica is not registered") }
        if let leader = partition.leader {
            if !isr.contains(leader) { found.append("the leader is not in the ISR") }
            if states[leader] != .active { found.append("the leader is not active") }
            if !isr.allSatisfy({ states[$0] == .active }) { found.append("a fenced broker is in the ISR") }
        } else {
            if isr.count != 1 { found.append("offline with \(isr.count) members in the ISR") }
            if isr.contains(where: { states[$0] == .active }) { found.append("offline with an active member") }
        }
        return found
    }
}
