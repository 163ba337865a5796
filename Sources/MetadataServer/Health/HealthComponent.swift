/// The parts of a node that are checked, as `component:measurement` (draft-inadarei-api-health-check, §4).
package enum HealthComponent: String, CaseIterable, Hashable, Sendable {
    /// The node loop turns.
    case loop = "node:loop"
    /// A leader is known.
    case leader = "raft:leader"
    /// Of a leader: who of the others is heard.
    case quorum = "raft:quorum"
    /// Of a leader: what is proposed gets committed.
    case propose = "store:propose"
    /// The log can be written.
    case log = "store:log"
    /// What is committed gets applied, and the database can be written.
    case apply = "store:apply"
    /// The database can be read.
    case storage = "store:storage"
    /// There is room.
    case disk = "store:disk"
    /// The members' states agree.
    case digest = "store:digest"
    /// Of a leader: heartbeats are heard, and silence is noticed.
    case brokers = "brokers:registry"
    /// Of a leader: replicas are moved.
    case coordinator = "coordinator:rebalance"

    /// What the draft calls `componentType`.
    var kind: String {
        switch self {
        case .loop, .disk: "system"
        case .log, .apply, .storage, .digest: "datastore"
        case .leader, .quorum, .propose, .brokers, .coordinator: "component"
        }
    }

    /// Whether a node whose check fails should get no requests. The others say what an operator should look at.
    var decidesReadiness: Bool {
        switch self {
        case .loop, .leader, .quorum, .propose, .log, .apply, .storage: true
        case .disk, .digest, .brokers, .coordinator: false
        }
    }
}
