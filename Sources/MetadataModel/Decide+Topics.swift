extension Decider {
    func createTopic(_ command: Command.CreateTopic) throws(Failure) -> Decision {
        if let refusal = try problem(withName: command.name, id: command.id) { return .refused(refusal) }
        guard try view.totals().topics < Limits.topicsMax else {
            return .refused(.limitExceeded, "there are \(Limits.topicsMax) topics already, which is the limit")
        }
        let shape: Shape
        switch TopicShape.of(command) {
        case .refused(let refusal): return .refused(refusal)
        case .shape(let partitions, let replicationFactor): shape = (partitions, replicationFactor)
        }
        if let refusal = try partitionLimit(adding: shape.partitions) { return .refused(refusal) }
        if let refusal = problem(withInitial: command.configs, of: command.id) { return .refused(refusal) }

        let topic = Topic(
            id: command.id, name: command.name, partitionCount: shape.partitions,
            replicationFactor: shape.replicationFactor, version: version)
        let partitions: [Partition]
        switch try newPartitions(of: topic, from: 0, assignment: command.assignment, existing: []) {
        case .refused(let refusal): return .refused(refusal)
        case .partitions(let placed): partitions = placed
        }
        guard !command.validateOnly else { return .done(changes: [], result: .topic(topic)) }
        var changes: [Change] = [.topic(before: nil, after: topic)]
        changes.reserveCapacity(1 + partitions.count + command.configs.count)
        for partition in partitions { changes.append(.partition(before: nil, after: partition)) }
        for case let (name, value?) in command.configs.map({ ($0.name, $0.value) }) {
            let entry = ConfigEntry(resource: .topic(topic.id), name: name, value: value, version: version)
            changes.append(.config(before: nil, after: entry))
        }
        return .done(changes: changes, result: .topic(topic))
    }

    /// Removes a topic with its partitions and configurations. Its name is free again, its id is not meant to be.
    func deleteTopic(_ reference: TopicReference, ifVersion: Version?) throws(Failure) -> Decision {
        guard let topic = try topic(reference) else { return .refused(.topicNotFound(reference)) }
        if let refusal = versionMismatch(topic, ifVersion) { return .refused(refusal) }
        var changes: [Change] = []
        for partition in try view.partitions(of: topic.id) {
            changes.append(.partition(before: partition, after: nil))
        }
        for entry in try view.configs(of: .topic(topic.id)) { changes.append(.config(before: entry, after: nil)) }
        changes.append(.topic(before: topic, after: nil))
        return .done(changes: changes, result: nil)
    }

    func createPartitions(_ command: Command.CreatePartitions) throws(Failure) -> Decision {
        guard let before = try topic(command.topic) else { return .refused(.topicNotFound(command.topic)) }
        if let refusal = versionMismatch(before, command.ifVersion) { return .refused(refusal) }
        guard command.totalCount > before.partitionCount else {
            return .refused(
                .invalidPartitionCount,
                "topic '\(before.name)' has \(before.partitionCount) partitions, \(command.totalCount) are not more")
        }
        guard command.totalCount <= Limits.partitionsPerTopicMax else {
            return .refused(
                .limitExceeded,
                "topic '\(before.name)' would have \(command.totalCount) partitions, \(Limits.partitionsPerTopicMax) are "
                    + "allowed")
        }
        let added = command.totalCount - before.partitionCount
        if let refusal = try partitionLimit(adding: added) { return .refused(refusal) }
        if !command.assignment.isEmpty {
            guard command.assignment.count == Int(added) else {
                return .refused(
                    .invalidAssignment,
                    "\(added) partitions are added to topic '\(before.name)', but \(command.assignment.count) are "
                        + "assigned")
            }
            if let refusal = TopicShape.lengthProblem(command.assignment, before.replicationFactor) {
                return .refused(refusal)
            }
        }
        var after = before
        after.partitionCount = command.totalCount
        after.version = version
        let existing = try view.partitions(of: before.id)
        switch try newPartitions(
            of: after, from: before.partitionCount, assignment: command.assignment, existing: existing)
        {
        case .refused(let refusal):
            return .refused(refusal)
        case .partitions(let placed):
            guard !command.validateOnly else { return .done(changes: [], result: .topic(after)) }
            let topicChange = Change.topic(before: before, after: after)
            return .done(
                changes: [topicChange] + placed.map { .partition(before: nil, after: $0) }, result: .topic(after))
        }
    }

    private typealias Shape = (partitions: Int32, replicationFactor: Int16)

    private enum Placed {
        case partitions([Partition])
        case refused(Refusal)
    }

    private func problem(withName name: String, id: TopicID) throws(Failure) -> Refusal? {
        if let problem = TopicName.problem(with: name) { return Refusal(.invalidTopicName, problem) }
        guard !id.isZero else { return Refusal(.invalidRequest, "topic '\(name)' is created without an id (all zero)") }
        if let other = try view.topic(collidingWith: name) {
            guard !other.name.hasSameBytes(as: name) else {
                return Refusal(.topicExists, "topic '\(name)' exists already, with id \(other.id)")
            }
            return Refusal(
                .invalidTopicName,
                "the topic name '\(name)' collides with the topic '\(other.name)': '.' and '_' count as the same")
        }
        if let other = try view.topic(id) {
            return Refusal(.topicExists, "the topic id \(id) is that of topic '\(other.name)' already")
        }
        return nil
    }

    private func problem(withInitial configs: [ConfigChange], of topic: TopicID) -> Refusal? {
        if let problem = ConfigRegistry.problem(with: configs, for: .topic(topic)) { return problem }
        guard let empty = configs.first(where: { $0.value == nil }) else { return nil }
        return Refusal(.invalidConfig, "configuration '\(empty.name)' of a new topic has no value")
    }

    private func partitionLimit(adding count: Int32) throws(Failure) -> Refusal? {
        let total = try view.totals().partitions
        guard total + Int(count) > Limits.partitionsMax else { return nil }
        return Refusal(
            .limitExceeded,
            "there are \(total) partitions, \(count) more would be beyond the limit of \(Limits.partitionsMax)")
    }

    /// The partitions of `topic` from number `first` on. Replicas on brokers that are not active are not in sync from the
    /// start (KIP-631), and the first that is active leads.
    private func newPartitions(
        of topic: Topic, from first: Int32, assignment: [[BrokerID]], existing: [Partition]
    ) throws(Failure) -> Placed {
        let brokers = try view.brokers()
        let active = Set(brokers.lazy.filter(\.isActive).map(\.id))
        var replicas = assignment
        if assignment.isEmpty {
            let candidates = try candidates(brokers)
            guard candidates.count >= Int(topic.replicationFactor) else {
                let draining = active.count - candidates.count
                return .refused(
                    Refusal(
                        .notEnoughBrokers,
                        "a replication factor of \(topic.replicationFactor) needs as many active brokers, there are "
                            + "\(candidates.count) (of \(brokers.count) registered"
                            + (draining > 0 ? ", and \(draining) draining)" : ")")))
            }
            replicas = Placement.place(
                partitions: Int(topic.partitionCount - first), replicationFactor: Int(topic.replicationFactor),
                candidates: candidates, existing: existing, seed: topic.id.high ^ topic.id.low)
        }
        let known = Dictionary(uniqueKeysWithValues: brokers.lazy.map { ($0.id, $0.isDraining) })
        var partitions: [Partition] = []
        partitions.reserveCapacity(replicas.count)
        for (offset, replicas) in replicas.enumerated() {
            let index = first + Int32(offset)
            let isr = replicas.filter { active.contains($0) }
            if let problem = problem(with: replicas, partition: index, known: known, isr: isr) {
                return .refused(problem)
            }
            partitions.append(
                Partition(
                    key: PartitionKey(topic: topic.id, index: PartitionIndex(index)), leader: isr[0], leaderEpoch: 0,
                    partitionEpoch: 0, replicas: replicas, isr: isr, version: version))
        }
        return .partitions(partitions)
    }

    private func candidates(_ brokers: [Broker]) throws(Failure) -> [Placement.Candidate] {
        var loads: [BrokerID: BrokerLoad] = [:]
        for load in try view.brokerLoads() { loads[load.id] = load }
        return brokers.filter(\.takesReplicas).map { broker in
            Placement.Candidate(
                id: broker.id, rack: broker.rack, capacity: broker.capacity, replicas: loads[broker.id]?.replicas ?? 0,
                leaders: loads[broker.id]?.leaders ?? 0)
        }
    }

    private func problem(
        with replicas: [BrokerID], partition: Int32, known: [BrokerID: Bool], isr: [BrokerID]
    ) -> Refusal? {
        for (position, broker) in replicas.enumerated() {
            guard let isDraining = known[broker] else {
                return Refusal(
                    .invalidAssignment,
                    "partition \(partition) is assigned to broker \(broker), which is not registered")
            }
            guard !isDraining else {
                return Refusal(
                    .invalidAssignment,
                    "partition \(partition) is assigned to broker \(broker), which is draining")
            }
            guard !replicas[..<position].contains(broker) else {
                return Refusal(.invalidAssignment, "partition \(partition) is assigned to broker \(broker) twice")
            }
        }
        guard isr.isEmpty else { return nil }
        return Refusal(
            .invalidAssignment,
            "none of the brokers \(list(replicas)) that partition \(partition) is assigned to is active")
    }
}

/// How many partitions of how many replicas a new topic has.
private enum TopicShape {
    case shape(partitions: Int32, replicationFactor: Int16)
    case refused(Refusal)

    /// With an explicit assignment both numbers are taken from it, and must be 0 or agree with it.
    static func of(_ command: Command.CreateTopic) -> TopicShape {
        var partitions = command.partitionCount
        var replicationFactor = command.replicationFactor
        if let first = command.assignment.first {
            let assigned = Int32(clamping: command.assignment.count)
            guard partitions == 0 || partitions == assigned else {
                return .refused(
                    Refusal(
                        .invalidAssignment, "\(assigned) partitions are assigned, but \(partitions) are asked for"))
            }
            guard replicationFactor == 0 || Int(replicationFactor) == first.count else {
                return .refused(
                    Refusal(
                        .invalidAssignment,
                        "partition 0 is assigned to \(first.count) brokers, but a replication factor of "
                            + "\(replicationFactor) is asked for"))
            }
            partitions = assigned
            replicationFactor = Int16(clamping: first.count)
        }
        guard partitions > 0 else {
            return .refused(Refusal(.invalidPartitionCount, "a topic has at least one partition, not \(partitions)"))
        }
        guard partitions <= Limits.partitionsPerTopicMax else {
            return .refused(
                Refusal(
                    .limitExceeded,
                    "the topic would have \(partitions) partitions, \(Limits.partitionsPerTopicMax) are allowed"))
        }
        guard (1...Limits.replicationFactorMax).contains(replicationFactor) else {
            return .refused(
                Refusal(
                    .invalidReplicationFactor,
                    "the replication factor is 1 to \(Limits.replicationFactorMax), not \(replicationFactor)"))
        }
        if let refusal = lengthProblem(command.assignment, replicationFactor) { return .refused(refusal) }
        return .shape(partitions: partitions, replicationFactor: replicationFactor)
    }

    static func lengthProblem(_ assignment: [[BrokerID]], _ replicationFactor: Int16) -> Refusal? {
        for (offset, replicas) in assignment.enumerated() where replicas.count != Int(replicationFactor) {
            return Refusal(
                .invalidAssignment,
                "assignment \(offset) names \(replicas.count) brokers, the replication factor is \(replicationFactor)")
        }
        return nil
    }
}
