internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

/// A client as a broker would run it: one request at a time, sent again under the same sequence number until it is answered.
struct SimulatedClient {
    enum Operation {
        case openSession
        case registerBroker(BrokerID)
        case unfenceBroker(BrokerID, BrokerEpoch)
        case createTopic(String)
        case write(register: String, Int)
        case read(register: String)
    }

    let id: UInt64
    /// Where the next attempt goes.
    var target: NodeID
    var session: SessionID?
    var sequence: UInt64 = 0
    var operation: Operation?
    /// Tells the answer to the latest attempt from late ones.
    var attempt: UInt64 = 0
    /// The read or write of a register that is under way.
    var call: LinearizabilityChecker<String, RegisterModel>.OperationID?
    var written = 0
    var created = 0
    /// Operations to be done before the random ones.
    var setup: [Operation] = []

    init(id: UInt64, target: NodeID) {
        self.id = id
        self.target = target
    }

    var register: String { "user.register-\(id)" }

    /// The command of the operation under way; nil for a read.
    var command: Command? {
        switch operation {
        case .openSession?:
            return .openSession(timeoutMilliseconds: Limits.sessionTimeoutMillisecondsMax)
        case .registerBroker(let broker)?:
            return .registerBroker(
                .init(
                    id: broker, incarnation: IncarnationID(high: 1, low: UInt64(broker.rawValue) + 1),
                    endpoints: [Endpoint(name: "PLAINTEXT", host: "broker", port: 9_092)], rack: ""))
        case .unfenceBroker(let broker, let epoch)?:
            return .unfenceBroker(id: broker, epoch: epoch)
        case .createTopic(let name)?:
            return .createTopic(
                .init(
                    name: name, id: TopicID(high: id + 1, low: UInt64(created)), partitionCount: 2,
                    replicationFactor: 1))
        case .write(let register, let value)?:
            return .alterConfigs(
                .init(resource: .cluster, changes: [ConfigChange(name: register, value: "\(value)")]))
        case .read?, nil:
            return nil
        }
    }

    var intent: WriteIntent? {
        guard let command else { return nil }
        let isInSession: Bool
        if case .openSession? = operation { isInSession = false } else { isInSession = true }
        return WriteIntent(
            session: isInSession ? session : nil, sequence: sequence, acknowledgedBelow: sequence,
            command: command.schemaBytes())
    }

    mutating func begin(_ operation: Operation) {
        if session != nil { sequence += 1 }
        self.operation = operation
    }
}
