internal import MetadataModel

extension Command.StartRebalance {
    init(schema: ProtoCommand.StartRebalance) throws(SchemaError) {
        try schema.refuseUnknownFields()
        let strategy: BalanceStrategy
        switch schema.strategy {
        case .balanced: strategy = .balanced
        case .sticky: strategy = .sticky
        case .roundRobin: strategy = .roundRobin
        case .range: strategy = .range
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("strategy \(schema.strategy.rawValue)")
        }
        self.init(
            strategy: strategy, origin: schema.isAutomatic ? .automatic : .request,
            excluded: schema.excluded.map { BrokerID($0) })
    }

    var schema: ProtoCommand.StartRebalance {
        var schema = ProtoCommand.StartRebalance()
        schema.strategy =
            switch strategy {
            case .balanced: .balanced
            case .sticky: .sticky
            case .roundRobin: .roundRobin
            case .range: .range
            }
        schema.isAutomatic = origin == .automatic
        schema.excluded = excluded.map(\.rawValue)
        return schema
    }
}

extension Command.MoveReplicas {
    init(schema: ProtoCommand.MoveReplicas) throws(SchemaError) {
        try schema.refuseUnknownFields()
        var moves: [Command.ReplicaMove] = []
        moves.reserveCapacity(schema.moves.count)
        for move in schema.moves {
            try move.refuseUnknownFields()
            guard move.hasPartition else { throw .malformed("move without partition") }
            try move.replicas.refuseUnknownFields()
            moves.append(
                Command.ReplicaMove(
                    partition: try PartitionKey(schema: move.partition),
                    replicas: move.hasReplicas ? move.replicas.brokers.map { BrokerID($0) } : nil,
                    partitionEpoch: move.partitionEpoch))
        }
        self.init(rebalance: schema.hasRebalance ? Version(schema.rebalance) : nil, moves: moves)
    }

    var schema: ProtoCommand.MoveReplicas {
        var schema = ProtoCommand.MoveReplicas()
        if let rebalance { schema.rebalance = rebalance.rawValue }
        schema.moves = moves.map { move in
            var part = ProtoCommand.MoveReplicas.Move()
            part.partition = move.partition.schema
            if let replicas = move.replicas { part.replicas = ProtoBrokerList(brokerIDs: replicas) }
            part.partitionEpoch = move.partitionEpoch
            return part
        }
        return schema
    }
}

extension Command.EndRebalance {
    init(schema: ProtoCommand.EndRebalance) throws(SchemaError) {
        try schema.refuseUnknownFields()
        let ending: Rebalance.Ending
        switch schema.ending {
        case .finished: ending = .finished
        case .cancelled: ending = .cancelled
        case .abandoned: ending = .abandoned
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("ending \(schema.ending.rawValue)")
        }
        self.init(
            rebalance: schema.hasRebalance ? Version(schema.rebalance) : nil, ending: ending, detail: schema.detail)
    }

    var schema: ProtoCommand.EndRebalance {
        var schema = ProtoCommand.EndRebalance()
        if let rebalance { schema.rebalance = rebalance.rawValue }
        schema.ending =
            switch ending {
            case .finished: .finished
            case .cancelled: .cancelled
            case .abandoned: .abandoned
            }
        schema.detail = detail
        return schema
    }
}
