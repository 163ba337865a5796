internal import MetadataModel
internal import MetadataSchema

extension CoordinatorStatus {
    init(wire: WireCoordinatorStatus) throws(WireError) {
        guard let activity = Activity(rawValue: wire.activity) else {
            throw .unknownValue("activity \(wire.activity)")
        }
        self.init()
        self.activity = activity
        detail = wire.detail
        imbalance = wire.hasImbalance ? wire.imbalance : nil
        imbalanceAfter = wire.imbalanceAfter
        movesPlanned = Int(wire.movesPlanned)
        movesWaiting = Int(wire.movesWaiting)
        movesUnderWay = Int(wire.movesUnderWay)
        movesEnded = Int(wire.movesEnded)
        stepTimeouts = Int(wire.stepTimeouts)
        for item in wire.stuck { stuck.append(try StuckReplica(wire: item)) }
        stuckCount = Int(wire.stuckCount)
        drains = wire.drains.map {
            BrokerDrain(
                id: BrokerID($0.broker), replicas: Int($0.replicas), leaders: Int($0.leaders),
                bytes: $0.hasBytes ? $0.bytes : nil)
        }
    }

    var wire: WireCoordinatorStatus {
        var wire = WireCoordinatorStatus()
        wire.activity = activity.rawValue
        wire.detail = detail
        if let imbalance { wire.imbalance = imbalance }
        wire.imbalanceAfter = imbalanceAfter
        wire.movesPlanned = Int64(movesPlanned)
        wire.movesWaiting = Int64(movesWaiting)
        wire.movesUnderWay = Int64(movesUnderWay)
        wire.movesEnded = Int64(movesEnded)
        wire.stepTimeouts = Int64(stepTimeouts)
        wire.stuck = stuck.map(\.wire)
        wire.stuckCount = Int64(stuckCount)
        wire.drains = drains.map { load in
            var drain = WireCoordinatorStatus.Drain()
            drain.broker = load.id.rawValue
            drain.replicas = Int64(load.replicas)
            drain.leaders = Int64(load.leaders)
            if let bytes = load.bytes { drain.bytes = bytes }
            return drain
        }
        return wire
    }
}

extension StuckReplica {
    fileprivate init(wire: WireCoordinatorStatus.Stuck) throws(WireError) {
        guard wire.hasPartition else { throw .malformed("stuck replica without partition") }
        self.init(
            partition: try WireError.converting { () throws(SchemaError) in try PartitionKey(schema: wire.partition) },
            broker: BrokerID(wire.broker), reason: wire.reason)
    }

    fileprivate var wire: WireCoordinatorStatus.Stuck {
        var wire = WireCoordinatorStatus.Stuck()
        wire.partition = partition.schema
        wire.broker = broker.rawValue
        wire.reason = reason
        return wire
    }
}
