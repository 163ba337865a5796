package import MetadataModel

extension Command: SchemaConvertible {
    /// Written into every command. A command that means something else than before gets a higher one, and old builds
    /// refuse it instead of misreading it.
    package static let schemaVersion: UInt32 = 1

    /// Refuses what this build does not fully understand, unknown fields included: a node that overlooks a part of a
    /// command would decide differently from a node that sees it.
    package init(schemaSpan: RawSpan) throws(SchemaError) {
        guard schemaSpan.byteCount <= Limits.commandBytesMax else {
            throw .tooLarge(bytes: schemaSpan.byteCount, bytesMax: Limits.commandBytesMax)
        }
        try self.init(schema: decodeMessage(schemaSpan, unknownFields: .kept))
    }

    package init(schema: ProtoCommand) throws(SchemaError) {
        guard schema.version == Command.schemaVersion, let kind = schema.kind, !schema.hasUnknownFields else {
            throw .unknownCommand(version: schema.version)
        }
        switch kind {
        case .registerBroker(let command): self = .registerBroker(try RegisterBroker(schema: command))
        case .unregisterBroker(let command):
            try command.refuseUnknownFields()
            self = .unregisterBroker(
                id: BrokerID(command.id), epoch: command.hasEpoch ? BrokerEpoch(command.epoch) : nil,
                force: command.force)
        case .fenceBroker(let command):
            try command.refuseUnknownFields()
            self = .fenceBroker(id: BrokerID(command.id), epoch: BrokerEpoch(command.epoch))
        case .unfenceBroker(let command):
            try command.refuseUnknownFields()
            self = .unfenceBroker(id: BrokerID(command.id), epoch: BrokerEpoch(command.epoch))
        case .beginShutdown(let command):
            let (id, epoch) = try command.idAndEpoch()
            guard let epoch else { throw .malformed("shutdown without epoch") }
            self = .beginShutdown(id: id, epoch: epoch)
        case .drainBroker(let command):
            let (id, epoch) = try command.idAndEpoch()
            self = .drainBroker(id: id, epoch: epoch)
        case .cancelDrain(let command):
            let (id, epoch) = try command.idAndEpoch()
            self = .cancelDrain(id: id, epoch: epoch)
        case .createTopic(let command): self = .createTopic(try CreateTopic(schema: command))
        case .deleteTopic(let command):
            try command.refuseUnknownFields()
            guard command.hasTopic else { throw .malformed("delete topic without topic") }
            self = .deleteTopic(
                topic: try TopicReference(schema: command.topic),
                ifVersion: command.hasIfVersion ? Version(command.ifVersion) : nil)
        case .createPartitions(let command): self = .createPartitions(try CreatePartitions(schema: command))
        case .alterConfigs(let command): self = .alterConfigs(try AlterConfigs(schema: command))
        case .changePartitionLeader(let command):
            self = .changePartitionLeader(try ChangePartitionLeader(schema: command))
        case .alterPartition(let command): self = .alterPartition(try AlterPartition(schema: command))
        case .alterPartitions(let command): self = .alterPartitions(try AlterPartitions(schema: command))
        case .electLeaders(let command): self = .electLeaders(try ElectLeaders(schema: command))
        case .reassignPartitions(let command): self = .reassignPartitions(try ReassignPartitions(schema: command))
        case .startRebalance(let command): self = .startRebalance(try StartRebalance(schema: command))
        case .moveReplicas(let command): self = .moveReplicas(try MoveReplicas(schema: command))
        case .endRebalance(let command): self = .endRebalance(try EndRebalance(schema: command))
        case .noteSilence(let command): self = .noteSilence(try command.silences())
        case .takeStep(let nothing):
            try nothing.refuseUnknownFields()
            self = .takeStep
        case .openSession(let timeout): self = .openSession(timeoutMilliseconds: timeout)
        case .closeSession(let id): self = .closeSession(SessionID(id))
        case .expireSessions(let nothing):
            try nothing.refuseUnknownFields()
            self = .expireSessions
        case .setFeatureLevel(let level): self = .setFeatureLevel(level)
        case .compareDigests(let nothing):
            try nothing.refuseUnknownFields()
            self = .compareDigests
        }
    }

    package var schema: ProtoCommand {
        var schema = ProtoCommand()
        schema.version = Command.schemaVersion
        switch self {
        case .registerBroker(let command): schema.kind = .registerBroker(command.schema)
        case .unregisterBroker(let id, let epoch, let force):
            var command = ProtoCommand.UnregisterBroker()
            command.id = id.rawValue
            if let epoch { command.epoch = epoch.rawValue }
            command.force = force
            schema.kind = .unregisterBroker(command)
        case .fenceBroker(let id, let epoch):
            var command = ProtoCommand.FenceBroker()
            command.id = id.rawValue
            command.epoch = epoch.rawValue
            schema.kind = .fenceBroker(command)
        case .unfenceBroker(let id, let epoch):
            var command = ProtoCommand.UnfenceBroker()
            command.id = id.rawValue
            command.epoch = epoch.rawValue
            schema.kind = .unfenceBroker(command)
        case .beginShutdown(let id, let epoch): schema.kind = .beginShutdown(.init(id, epoch))
        case .drainBroker(let id, let epoch): schema.kind = .drainBroker(.init(id, epoch))
        case .cancelDrain(let id, let epoch): schema.kind = .cancelDrain(.init(id, epoch))
        case .createTopic(let command): schema.kind = .createTopic(command.schema)
        case .deleteTopic(let topic, let ifVersion):
            var command = ProtoCommand.DeleteTopic()
            command.topic = topic.schema
            if let ifVersion { command.ifVersion = ifVersion.rawValue }
            schema.kind = .deleteTopic(command)
        case .createPartitions(let command): schema.kind = .createPartitions(command.schema)
        case .alterConfigs(let command): schema.kind = .alterConfigs(command.schema)
        case .changePartitionLeader(let command): schema.kind = .changePartitionLeader(command.schema)
        case .alterPartition(let command): schema.kind = .alterPartition(command.schema)
        case .alterPartitions(let command): schema.kind = .alterPartitions(command.schema)
        case .electLeaders(let command): schema.kind = .electLeaders(command.schema)
        case .reassignPartitions(let command): schema.kind = .reassignPartitions(command.schema)
        case .startRebalance(let command): schema.kind = .startRebalance(command.schema)
        case .moveReplicas(let command): schema.kind = .moveReplicas(command.schema)
        case .endRebalance(let command): schema.kind = .endRebalance(command.schema)
        case .noteSilence(let notes): schema.kind = .noteSilence(ProtoCommand.NoteSilence(notes))
        case .takeStep: schema.kind = .takeStep(ProtoNothing())
        case .openSession(let timeoutMilliseconds): schema.kind = .openSession(timeoutMilliseconds)
        case .closeSession(let id): schema.kind = .closeSession(id.rawValue)
        case .expireSessions: schema.kind = .expireSessions(ProtoNothing())
        case .setFeatureLevel(let level): schema.kind = .setFeatureLevel(level)
        case .compareDigests: schema.kind = .compareDigests(ProtoNothing())
        }
        return schema
    }
}

extension ConfigChange: SchemaConvertible {
    package init(schema: ProtoConfigChange) throws(SchemaError) {
        try schema.refuseUnknownFields()
        self.init(name: schema.name, value: schema.hasValue ? schema.value : nil)
    }

    package var schema: ProtoConfigChange {
        var schema = ProtoConfigChange()
        schema.name = name
        if let value { schema.value = value }
        return schema
    }
}
