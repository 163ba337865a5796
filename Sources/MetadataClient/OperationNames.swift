import MetadataModel

extension Command {
    /// The name of the call that submits this command, for errors.
    var operationName: String {
        switch self {
        case .registerBroker: "registerBroker"
        case .unregisterBroker: "unregisterBroker"
        case .fenceBroker: "fenceBroker"
        case .unfenceBroker: "unfenceBroker"
        case .beginShutdown: "beginShutdown"
        case .drainBroker: "drainBroker"
        case .cancelDrain: "cancelDrain"
        case .createTopic: "createTopic"
        case .deleteTopic: "deleteTopic"
        case .createPartitions: "createPartitions"
        case .alterConfigs: "alterConfigs"
        case .changePartitionLeader: "changePartitionLeader"
        case .alterPartition: "alterPartition"
        case .alterPartitions: "alterPartitions"
        case .electLeaders: "electLeaders"
        case .reassignPartitions: "reassignPartitions"
        case .startRebalance: "startRebalance"
        case .moveReplicas: "moveReplicas"
        case .endRebalance: "endRebalance"
        case .noteSilence: "noteSilence"
        case .takeStep: "takeStep"
        case .openSession: "openSession"
        case .closeSession: "closeSession"
        case .expireSessions: "expireSessions"
        case .setFeatureLevel: "setFeatureLevel"
        case .compareDigests: "compareDigests"
        }
    }
}

extension Query {
    /// The name of the call that asks this question, for errors.
    var operationName: String {
        switch self {
        case .summary: "summary"
        case .broker: "broker"
        case .brokers: "brokers"
        case .topic: "topic"
        case .topics: "topics"
        case .partition: "partition"
        case .partitions: "partitions"
        case .clusterPartitions: "clusterPartitions"
        case .configs: "configs"
        case .changes: "changes"
        }
    }
}
