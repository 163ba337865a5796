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
        let leaving = Set(
            brokers.filter { $0.state == .fencing || $0.state == .shuttingDown }.map(\.id).filter {
                storage.featureLevel() >= Limits.featureLevelOfSteps
                    && !storage.partitions(relyingOn: $0, limit: 1).isEmpty
            })
        // Those that a broker which returned is still to be given.
        let returning = UnfinishedWork(text: storage.config(.cluster, name: UnfinishedWork.configName)?.value).sorted
        func waits(_ partition: Partition) -> Bool {
            partition.leader == nil
                && returning.contains { item in
                    guard case .returning(let last) = item.task else { return false }
                    return last < partition.key && partition.replicas.contains(item.broker)
                }
        }
        for broker in brokers where broker.tags != broker.tags.sorted(by: { $0.name < $1.name }) {
            found.append("the tags of broker \(broker.id) are not in order")
        }
        var loads: [BrokerID: BrokerLoad] = [:]
        var partitionCount = 0
        let topics = storage.topics(after: nil, limit: .max)
        for topic in topics {
            let partitions = storage.partitions(of: topic.id)
            partitionCount += partitions.count
            check(partitions.count == Int(topic.partitionCount), "\(topic.name) lacks partitions")
            for partition in partitions {
                // What rules follow from the state of a broker that steps move partitions off holds behind the last step.
                if !leaving.contains(where: partition.relies), !waits(partition) {
                    found += violations(of: partition, states).map { "\(topic.name)-\(partition.key.index): \($0)" }
                }
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

    /// What the topic says, or else the cluster, or else nobody.
    private func setting(_ name: String, of topic: TopicID) -> String? {
        storage.config(.topic(topic), name: name)?.value ?? storage.config(.cluster, name: name)?.value
    }

    private func violations(of partition: Partition, _ states: [BrokerID: Broker.State]) -> [String] {
        var found: [String] = []
        let (replicas, isr, eligible) = (partition.replicas, partition.isr, partition.eligibleLeaders)
        func isActive(_ broker: BrokerID) -> Bool { states[broker] == .active }
        let minimum = setting("min.insync.replicas", of: partition.key.topic).flatMap { Int($0) } ?? 1
        if eligible != replicas.filter(eligible.contains) { found.append("eligible leaders that are no replicas") }
        if eligible.contains(where: isr.contains) {
            found.append("a member of the ISR is an eligible leader beside it")
        }
        if !eligible.isEmpty, isr.count >= min(minimum, replicas.count) {
            found.append("eligible leaders beside an ISR of \(isr.count) that is large enough")
        }
        let (adding, removing) = (partition.adding, partition.removing)
        if !(adding + removing).allSatisfy(replicas.contains) || adding.contains(where: removing.contains) {
            found.append("a replica is added or removed that is none, or both")
        }
        if adding.count == replicas.count { found.append("nothing would be left of a cancelled reassignment") }
        let staying = isr.filter { !removing.contains($0) }
        if partition.isReassigning, adding.allSatisfy(staying.contains), staying.contains(where: isActive) {
            found.append("a reassignment is under way that could be complete")
        }
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
            if isr.contains(where: isActive) { found.append("offline with an active member") }
            if eligible.contains(where: isActive) { found.append("offline with an active eligible leader") }
            if setting("unclean.leader.election.enable", of: partition.key.topic) == "true",
                replicas.contains(where: isActive)
            {
                found.append("offline with an active replica, and unclean election is on")
            }
        }
        return found
    }
}
