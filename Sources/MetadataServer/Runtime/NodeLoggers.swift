import Logging
import Telemetry

/// The loggers of the node loop, by component: what an operator may turn up one by one.
struct NodeLoggers {
    /// Terms, leaders, members.
    let raft: Logger
    /// Brokers and what became of them.
    let registry: Logger
    let coordinator: Logger
    let snapshots: Logger
    /// Log, database, disk, damage.
    let storage: Logger
    let clients: Logger
    let peers: Logger
    /// What operators change. Always written, whatever the levels.
    let audit: Logger

    init(_ logger: Logger) {
        raft = logger.component("raft")
        registry = logger.component("registry")
        coordinator = logger.component("coordinator")
        snapshots = logger.component("snapshots")
        storage = logger.component("storage")
        clients = logger.component("clients")
        peers = logger.component("peers")
        var audit = logger.component("audit")
        audit.logLevel = .info
        self.audit = audit
    }
}
