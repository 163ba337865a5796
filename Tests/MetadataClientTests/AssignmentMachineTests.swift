import MetadataModel
import Testing

@testable import MetadataClient

@Suite("AssignmentMachine")
struct AssignmentMachineTests {
    /// What a broker makes of its instructions.
    private struct Replicas {
        let broker: BrokerID
        var held: [PartitionKey: Partition] = [:]

        mutating func follow(_ assignment: Assignment, _ comment: Comment) {
            let before = held[assignment.key]
            switch assignment {
            case .becomeLeader(let partition, _):
                #expect(partition.leader == broker, comment)
                #expect(before?.leader != broker || before?.leaderEpoch != partition.leaderEpoch, comment)
                held[partition.key] = partition
            case .becomeFollower(let partition, _):
                #expect(partition.leader != broker, comment)
                #expect(
                    before == nil || before?.leader != partition.leader
                        || before?.leaderEpoch != partition.leaderEpoch, comment)
                held[partition.key] = partition
            case .update(let partition, _):
                #expect(before?.leader == partition.leader && before?.leaderEpoch == partition.leaderEpoch, comment)
                #expect(before.map { $0.partitionEpoch < partition.partitionEpoch } == true, comment)
                held[partition.key] = partition
            case .stopReplica(let key, _):
                #expect(before != nil, comment)
                held[key] = nil
            }
        }
    }

    private func image(of cluster: ModelledCluster) -> MetadataImage {
        var follower = ImageFollower()
        follower.begin(at: cluster.version)
        follower.listed(brokers: cluster.storage.brokers())
        follower.listed(topics: cluster.topics)
        follower.listed(partitions: cluster.partitions)
        follower.listedAll(by: cluster.version)
        return follower.image
    }

    @Test(
        "whatever changes, is overtaken, or is read anew: who follows the instructions holds what the image says",
        arguments: UInt64(1)...10)
    func exact(seed: UInt64) {
        var cluster = ModelledCluster(seed: seed)
        for _ in 0..<30 { cluster.step() }
        let broker = BrokerID(2)
        var machine = AssignmentMachine(broker: broker)
        var replicas = Replicas(broker: broker)
        var image = image(of: cluster)
        func touchAll() {
            machine.replaced()
            image.forEachPartition { if $0.replicas.contains(broker) { machine.touched($0.key) } }
        }
        touchAll()
        machine.registered(cluster.epoch(2))
        var given = 0
        for round in 0..<150 {
            let comment: Comment = "seed \(seed), round \(round)"
            for _ in 0..<cluster.number(1..<4) { cluster.step() }
            switch cluster.number(0..<8) {
            case 0:
                // The watch was too old: another image, from scratch.
                image = self.image(of: cluster)
                touchAll()
            default:
                for case .changes(let event) in cluster.events(after: image.version) {
                    let fits = image.apply(event) { if $0 == broker { machine.touched($1) } }
                    #expect(fits, comment)
                }
            }
            if cluster.number(0..<10) == 0 {
                machine.unregistered()
                #expect(machine.next(image) == nil, comment)
                machine.registered(BrokerEpoch(image.version.rawValue))
            }
            // Some are taken, some wait and are overtaken.
            for _ in 0..<cluster.number(0..<20) {
                guard let assignment = machine.next(image) else { break }
                replicas.follow(assignment, comment)
                given += 1
            }
        }
        while let assignment = machine.next(image) {
            replicas.follow(assignment, "seed \(seed), at the end")
            given += 1
        }
        var wanted: [PartitionKey: Partition] = [:]
        image.forEachPartition { if $0.replicas.contains(broker) { wanted[$0.key] = $0 } }
        #expect(replicas.held.keys.sorted() == wanted.keys.sorted(), "seed \(seed)")
        for (key, partition) in wanted {
            #expect(replicas.held[key]?.partitionEpoch == partition.partitionEpoch, "seed \(seed)")
        }
        touchAll()
        #expect(machine.next(image) == nil, "seed \(seed): an instruction came twice")
        #expect(given > 100, "seed \(seed): only \(given) instructions, the test sees too little")
    }

    @Test("a metadata image from before the registration gives no instructions, not even those that it has")
    func staleImage() throws {
        var cluster = ModelledCluster(seed: 1)
        for _ in 0..<30 { cluster.step() }
        let old = image(of: cluster)
        let partition = try #require(cluster.partitions.first { $0.leader != nil })
        let leader = try #require(partition.leader)
        var machine = AssignmentMachine(broker: leader)
        machine.touched(partition.key)
        cluster.apply(.fenceBroker(id: leader, epoch: cluster.epoch(leader.rawValue)))
        cluster.apply(.registerBroker(cluster.registration(of: leader.rawValue, incarnation: 77)))
        machine.registered(cluster.epoch(leader.rawValue))
        #expect(machine.next(old) == nil, "told to lead what it lost before it registered")
        guard case .becomeFollower(let now, _)? = machine.next(image(of: cluster)) else {
            Issue.record("no instruction once the image is as new as the registration")
            return
        }
        #expect(now.leader != leader && now.leaderEpoch > partition.leaderEpoch)
    }

    @Test("a deleted topic and a replica that moved are told apart")
    func stopReasons() throws {
        var cluster = ModelledCluster(seed: 2)
        let id = TopicID(high: 1, low: 1)
        let brokers = [BrokerID(1), BrokerID(2)]
        cluster.apply(
            .createTopic(
                .init(name: "t", id: id, partitionCount: 0, replicationFactor: 0, assignment: [brokers, brokers])))
        var machine = AssignmentMachine(broker: BrokerID(2))
        machine.registered(cluster.epoch(2))
        let keys = [0, 1].map { PartitionKey(topic: id, index: PartitionIndex($0)) }
        for key in keys { machine.touched(key) }
        var image = image(of: cluster)
        while machine.next(image) != nil {}
        cluster.apply(.reassignPartitions(.init([.init(partition: keys[0], replicas: [BrokerID(1)])])))
        image = self.image(of: cluster)
        machine.touched(keys[0])
        #expect(machine.next(image) == .stopReplica(keys[0], .movedAway))
        cluster.apply(.deleteTopic(topic: .id(id), ifVersion: nil))
        image = self.image(of: cluster)
        machine.replaced()
        #expect(machine.next(image) == .stopReplica(keys[1], .deleted))
        #expect(machine.next(image) == nil)
    }
}
