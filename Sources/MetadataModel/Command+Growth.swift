extension Command {
    /// Whether the command makes the state larger. On a disk that is nearly full these are refused before they enter the
    /// log; what makes room, and what the cluster and its clients need to live, goes on.
    package var growsState: Bool {
        switch self {
        case .registerBroker, .createTopic, .createPartitions: true
        // A key that is removed makes room.
        case .alterConfigs(let command): command.changes.contains { $0.value != nil }
        // Replicas that are added; a cancelled move is given up.
        case .reassignPartitions(let command): command.reassignments.contains { $0.replicas != nil }
        case .moveReplicas(let command): command.moves.contains { $0.replicas != nil }
        case .startRebalance: true
        case .beginShutdown, .drainBroker, .cancelDrain, .alterPartitions, .electLeaders, .unregisterBroker,
            .fenceBroker, .unfenceBroker, .deleteTopic, .changePartitionLeader, .alterPartition,
            .openSession, .closeSession, .expireSessions, .setFeatureLevel, .compareDigests,
            .endRebalance, .noteSilence, .takeStep:
            false
        }
    }
}
