internal import DequeModule
internal import MetadataModel

// One step after the other, within the limits.
extension CoordinatorWork {
    /// Takes out of the moves that wait those that the limits let begin now, in their order as far as they let it.
    mutating func takeNextSteps() -> [PlannedMove] {
        var load = Load(underWay.values)
        var taken: [PlannedMove] = []
        var passedOver: [PlannedMove] = []
        for _ in 0..<min(waiting.count, CoordinatorOptions.lookAhead) {
            guard taken.count < CoordinatorOptions.movesLimit, let move = waiting.popFirst() else { break }
            if load.takes(move, options) { taken.append(move) } else { passedOver.append(move) }
        }
        waiting.prepend(contentsOf: passedOver)
        return taken
    }

    /// The moves that can begin, of those whose partitions a survey has just shown; what the limits hold back waits on.
    mutating func steps(_ moves: [PlannedMove], _ partitions: [Partition], now: UInt64) -> [Command.ReplicaMove] {
        var rows: [PartitionKey: Partition] = [:]
        for partition in partitions { rows[partition.key] = partition }
        var load = Load(underWay.values)
        var steps: [Command.ReplicaMove] = []
        var heldBack: [PlannedMove] = []
        for move in moves {
            // Gone, or changed by somebody else: the next plan sees it.
            guard let row = rows[move.partition], !row.isReassigning, row.replicas == move.from else { continue }
            guard load.takes(move, options) else {
                heldBack.append(move)
                continue
            }
            steps.append(
                Command.ReplicaMove(partition: move.partition, replicas: move.to, partitionEpoch: row.partitionEpoch))
            guard move.movesData else { continue }
            underWay[move.partition] = Step(
                adding: move.adding, removing: move.removing, deadline: now + options.stepMilliseconds, isOwn: true)
        }
        waiting.prepend(contentsOf: heldBack)
        return steps
    }

    /// Compares what is known to be under way with what a survey has found, and takes back what makes no progress.
    mutating func reconcile(_ partitions: [Partition], now: UInt64) -> [Command.ReplicaMove] {
        var found: Set<PartitionKey> = []
        var cancellations: [Command.ReplicaMove] = []
        for partition in partitions {
            found.insert(partition.key)
            var step =
                known(partition)
                ?? Step(
                    adding: partition.adding, removing: partition.removing, deadline: now + options.stepMilliseconds,
                    isOwn: false)
            let inSync = partition.adding.count { partition.isr.contains($0) }
            if inSync > step.inSync {
                step.deadline = now + options.stepMilliseconds
                step.stall = nil
                for broker in partition.adding where partition.isr.contains(broker) { failures[broker] = nil }
            }
            step.inSync = inSync
            if now >= step.deadline {
                let (broker, reason) = stall(of: partition)
                if step.stall == nil { noteTimeout() }
                step.stall = reason
                if step.isOwn {
                    if partition.adding.contains(broker) { failures[broker, default: 0] += 1 }
                    givenUp[partition.key] = (
                        StuckReplica(partition: partition.key, broker: broker, reason: reason),
                        now + options.stepMilliseconds * CoordinatorOptions.drainRetrySteps
                    )
                    cancellations.append(
                        Command.ReplicaMove(
                            partition: partition.key, replicas: nil, partitionEpoch: partition.partitionEpoch))
                    // Asked for again if it does not come to anything.
                    step.deadline = now + options.stepMilliseconds
                }
            }
            underWay[partition.key] = step
        }
        let gone = underWay.filter { !found.contains($0.key) }
        note(ended: gone.values.count { $0.isOwn && $0.stall == nil })
        for step in gone.values where step.stall == nil { for broker in step.adding { failures[broker] = nil } }
        for key in gone.keys { underWay[key] = nil }
        return Array(cancellations.prefix(Limits.partitionsPerCommandMax))
    }

    /// The step that the reassignment is; nil when somebody else began it, or replaced it.
    private func known(_ partition: Partition) -> Step? {
        guard let step = underWay[partition.key], Set(step.adding) == Set(partition.adding),
            Set(step.removing) == Set(partition.removing)
        else { return nil }
        return step
    }

    /// Which broker a reassignment waits for.
    private func stall(of partition: Partition) -> (BrokerID, String) {
        let seconds = options.stepMilliseconds / 1_000
        for broker in partition.adding where !partition.isr.contains(broker) {
            guard let state = brokers[broker]?.state, state != .active else {
                return (broker, "broker \(broker) did not get in sync within \(seconds) s")
            }
            return (broker, "broker \(broker), which it is to move to, is \(state.rawValue)")
        }
        let waitsFor = partition.replicas.first ?? BrokerID(-1)
        return (waitsFor, "none of the replicas that stay, \(partition.replicas.map(\.description)), can lead")
    }

    func checkInvariants() {
        let own = underWay.values.filter(\.isOwn)
        precondition(own.count <= options.movesMax, "\(own.count) moves under way, \(options.movesMax) are allowed")
        var counts: [BrokerID: Int] = [:]
        for step in own { for broker in step.brokers { counts[broker, default: 0] += 1 } }
        for (broker, count) in counts {
            precondition(
                count <= options.movesPerBrokerMax,
                "\(count) moves under way at broker \(broker), \(options.movesPerBrokerMax) are allowed")
        }
        precondition(asked == nil || asked?.moves.count ?? 0 <= CoordinatorOptions.movesLimit, "too much was asked for")
    }

    /// How much is under way: partitions, and those of each broker. What somebody else began and makes no progress does not count:
    /// as many of them as may be under way, bound for a dead broker, would hold up a rebalance for ever. Own ones are taken back.
    private struct Load {
        private var partitions = 0
        private var byBroker: [BrokerID: Int] = [:]

        init(_ steps: some Sequence<Step>) {
            for step in steps where step.isOwn || step.stall == nil { add(step.brokers) }
        }

        private mutating func add(_ brokers: [BrokerID]) {
            partitions += 1
            for broker in brokers { byBroker[broker, default: 0] += 1 }
        }

        /// Adds the move if it fits. Another order of the same replicas copies nothing, and always fits.
        mutating func takes(_ move: PlannedMove, _ options: CoordinatorOptions) -> Bool {
            guard move.movesData else { return true }
            let brokers = move.adding + move.removing
            guard partitions < options.movesMax,
                brokers.allSatisfy({ byBroker[$0] ?? 0 < options.movesPerBrokerMax })
            else { return false }
            add(brokers)
            return true
        }
    }
}

extension PlannedMove {
    var adding: [BrokerID] { to.filter { !from.contains($0) } }
    var removing: [BrokerID] { from.filter { !to.contains($0) } }
    var movesData: Bool { !adding.isEmpty || !removing.isEmpty }
}
