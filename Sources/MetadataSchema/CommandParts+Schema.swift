internal import MetadataModel

extension Command.RegisterBroker {
    init(schema: ProtoCommand.RegisterBroker) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasIncarnation else { throw .malformed("register broker without incarnation") }
        self.init(
            id: BrokerID(schema.id), incarnation: try IncarnationID(schema: schema.incarnation),
            endpoints: try converted(schema.endpoints), rack: schema.rack,
            capacity: schema.hasCapacity ? schema.capacity : Broker.capacityDefault,
            tags: try converted(schema.tags),
            previousEpoch: schema.hasPreviousEpoch ? BrokerEpoch(schema.previousEpoch) : nil)
    }

    var schema: ProtoCommand.RegisterBroker {
        var schema = ProtoCommand.RegisterBroker()
        schema.id = id.rawValue
        schema.incarnation = incarnation.schema
        schema.endpoints = endpoints.map(\.schema)
        schema.rack = rack
        if capacity != Broker.capacityDefault { schema.capacity = capacity }
        schema.tags = tags.map(\.schema)
        if let previousEpoch { schema.previousEpoch = previousEpoch.rawValue }
        return schema
    }
}

extension Command.CreateTopic {
    init(schema: ProtoCommand.CreateTopic) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasID else { throw .malformed("create topic without id") }
        self.init(
            name: schema.name, id: try TopicID(schema: schema.id), partitionCount: schema.partitionCount,
            replicationFactor: try narrowed(schema.replicationFactor, "replication factor"),
            assignment: try brokerLists(schema: schema.assignment), configs: try converted(schema.configs),
            validateOnly: schema.validateOnly)
    }

    var schema: ProtoCommand.CreateTopic {
        var schema = ProtoCommand.CreateTopic()
        schema.name = name
        schema.id = id.schema
        schema.partitionCount = partitionCount
        schema.replicationFactor = Int32(replicationFactor)
        schema.assignment = assignment.map(ProtoBrokerList.init(brokerIDs:))
        schema.configs = configs.map(\.schema)
        schema.validateOnly = validateOnly
        return schema
    }
}

extension Command.CreatePartitions {
    init(schema: ProtoCommand.CreatePartitions) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasTopic else { throw .malformed("create partitions without topic") }
        self.init(
            topic: try TopicReference(schema: schema.topic), totalCount: schema.totalCount,
            assignment: try brokerLists(schema: schema.assignment),
            ifVersion: schema.hasIfVersion ? Version(schema.ifVersion) : nil, validateOnly: schema.validateOnly)
    }

    var schema: ProtoCommand.CreatePartitions {
        var schema = ProtoCommand.CreatePartitions()
        schema.topic = topic.schema
        schema.totalCount = totalCount
        schema.assignment = assignment.map(ProtoBrokerList.init(brokerIDs:))
        if let ifVersion { schema.ifVersion = ifVersion.rawValue }
        schema.validateOnly = validateOnly
        return schema
    }
}

extension Command.AlterConfigs {
    init(schema: ProtoCommand.AlterConfigs) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasResource else { throw .malformed("alter configs without resource") }
        self.init(
            resource: try ResourceReference(schema: schema.resource), changes: try converted(schema.changes),
            ifVersion: schema.hasIfVersion ? Version(schema.ifVersion) : nil, validateOnly: schema.validateOnly)
    }

    var schema: ProtoCommand.AlterConfigs {
        var schema = ProtoCommand.AlterConfigs()
        schema.resource = resource.schema
        schema.changes = changes.map(\.schema)
        if let ifVersion { schema.ifVersion = ifVersion.rawValue }
        schema.validateOnly = validateOnly
        return schema
    }
}

extension Command.ChangePartitionLeader {
    init(schema: ProtoCommand.ChangePartitionLeader) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasTopic else { throw .malformed("change partition leader without topic") }
        self.init(
            topic: try TopicReference(schema: schema.topic), partition: PartitionIndex(schema.partition),
            leader: BrokerID(schema.leader),
            ifPartitionEpoch: schema.hasIfPartitionEpoch ? schema.ifPartitionEpoch : nil)
    }

    var schema: ProtoCommand.ChangePartitionLeader {
        var schema = ProtoCommand.ChangePartitionLeader()
        schema.topic = topic.schema
        schema.partition = partition.rawValue
        schema.leader = leader.rawValue
        if let ifPartitionEpoch { schema.ifPartitionEpoch = ifPartitionEpoch }
        return schema
    }
}

extension Command.AlterPartition {
    init(schema: ProtoCommand.AlterPartition) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasTopic else { throw .malformed("alter partition without topic") }
        self.init(
            broker: BrokerID(schema.broker), brokerEpoch: BrokerEpoch(schema.brokerEpoch),
            partition: PartitionKey(topic: try TopicID(schema: schema.topic), index: PartitionIndex(schema.index)),
            leaderEpoch: schema.leaderEpoch, partitionEpoch: schema.partitionEpoch,
            isr: schema.isr.map { BrokerID($0) }, isrEpochs: schema.isrEpochs.map { BrokerEpoch($0) })
    }

    var schema: ProtoCommand.AlterPartition {
        var schema = ProtoCommand.AlterPartition()
        schema.broker = broker.rawValue
        schema.brokerEpoch = brokerEpoch.rawValue
        schema.topic = partition.topic.schema
        schema.index = partition.index.rawValue
        schema.leaderEpoch = leaderEpoch
        schema.partitionEpoch = partitionEpoch
        schema.isr = isr.map(\.rawValue)
        schema.isrEpochs = isrEpochs.map(\.rawValue)
        return schema
    }
}

extension Command.AlterPartitions {
    init(schema: ProtoCommand.AlterPartitions) throws(SchemaError) {
        try schema.refuseUnknownFields()
        var reports: [Command.ISRReport] = []
        reports.reserveCapacity(schema.reports.count)
        for report in schema.reports {
            try report.refuseUnknownFields()
            guard report.hasPartition else { throw .malformed("ISR report without partition") }
            reports.append(
                Command.ISRReport(
                    partition: try PartitionKey(schema: report.partition), leaderEpoch: report.leaderEpoch,
                    partitionEpoch: report.partitionEpoch, isr: report.isr.map { BrokerID($0) },
                    isrEpochs: report.isrEpochs.map { BrokerEpoch($0) }))
        }
        self.init(broker: BrokerID(schema.broker), brokerEpoch: BrokerEpoch(schema.brokerEpoch), reports: reports)
    }

    var schema: ProtoCommand.AlterPartitions {
        var schema = ProtoCommand.AlterPartitions()
        schema.broker = broker.rawValue
        schema.brokerEpoch = brokerEpoch.rawValue
        schema.reports = reports.map { report in
            var part = ProtoCommand.AlterPartitions.Report()
            part.partition = report.partition.schema
            part.leaderEpoch = report.leaderEpoch
            part.partitionEpoch = report.partitionEpoch
            part.isr = report.isr.map(\.rawValue)
            part.isrEpochs = report.isrEpochs.map(\.rawValue)
            return part
        }
        return schema
    }
}

extension Command.ElectLeaders {
    init(schema: ProtoCommand.ElectLeaders) throws(SchemaError) {
        try schema.refuseUnknownFields()
        let election: Election
        switch schema.election {
        case .preferred: election = .preferred
        case .unclean: election = .unclean
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("election \(schema.election.rawValue)")
        }
        self.init(election, partitions: try converted(schema.partitions))
    }

    var schema: ProtoCommand.ElectLeaders {
        var schema = ProtoCommand.ElectLeaders()
        schema.election =
            switch election {
            case .preferred: .preferred
            case .unclean: .unclean
            }
        schema.partitions = partitions.map(\.schema)
        return schema
    }
}

extension Command.ReassignPartitions {
    init(schema: ProtoCommand.ReassignPartitions) throws(SchemaError) {
        try schema.refuseUnknownFields()
        var reassignments: [Command.Reassignment] = []
        reassignments.reserveCapacity(schema.reassignments.count)
        for reassignment in schema.reassignments {
            try reassignment.refuseUnknownFields()
            guard reassignment.hasPartition else { throw .malformed("reassignment without partition") }
            try reassignment.replicas.refuseUnknownFields()
            reassignments.append(
                Command.Reassignment(
                    partition: try PartitionKey(schema: reassignment.partition),
                    replicas: reassignment.hasReplicas ? reassignment.replicas.brokers.map { BrokerID($0) } : nil))
        }
        self.init(reassignments)
    }

    var schema: ProtoCommand.ReassignPartitions {
        var schema = ProtoCommand.ReassignPartitions()
        schema.reassignments = reassignments.map { reassignment in
            var part = ProtoCommand.ReassignPartitions.Reassignment()
            part.partition = reassignment.partition.schema
            if let replicas = reassignment.replicas { part.replicas = ProtoBrokerList(brokerIDs: replicas) }
            return part
        }
        return schema
    }
}

extension ProtoCommand.BrokerAtEpoch {
    init(_ id: BrokerID, _ epoch: BrokerEpoch?) {
        self.init()
        self.id = id.rawValue
        if let epoch { self.epoch = epoch.rawValue }
    }

    func idAndEpoch() throws(SchemaError) -> (BrokerID, BrokerEpoch?) {
        try refuseUnknownFields()
        return (BrokerID(id), hasEpoch ? BrokerEpoch(epoch) : nil)
    }
}

extension ProtoBrokerList {
    init(brokerIDs: [BrokerID]) {
        self.init()
        brokers = brokerIDs.map(\.rawValue)
    }
}

/// The replicas of each partition.
private func brokerLists(schema: [ProtoBrokerList]) throws(SchemaError) -> [[BrokerID]] {
    var assignment: [[BrokerID]] = []
    assignment.reserveCapacity(schema.count)
    for list in schema {
        try list.refuseUnknownFields()
        assignment.append(list.brokers.map { BrokerID($0) })
    }
    return assignment
}

extension ProtoCommand.NoteSilence {
    func silences() throws(SchemaError) -> [BrokerSilence] {
        try refuseUnknownFields()
        var found: [BrokerSilence] = []
        found.reserveCapacity(notes.count)
        for note in notes {
            try note.refuseUnknownFields()
            found.append(
                BrokerSilence(
                    broker: BrokerID(note.broker), epoch: BrokerEpoch(note.epoch), milliseconds: note.milliseconds))
        }
        return found
    }

    init(_ notes: [BrokerSilence]) {
        self.init()
        self.notes = notes.map { silence in
            var note = Note()
            note.broker = silence.broker.rawValue
            note.epoch = silence.epoch.rawValue
            note.milliseconds = silence.milliseconds
            return note
        }
    }
}
