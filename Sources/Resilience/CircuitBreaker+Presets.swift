extension CircuitBreaker.Options {
    /// Of a database, and of what is read from it for the coordinator.
    package static let store = CircuitBreaker.Options()

    /// Of a client to each endpoint: short, because a node that is back must be found within a second. A connection is dialled
    /// ever more seldom anyhow; this keeps requests off a node that answers and cannot serve.
    package static let client = CircuitBreaker.Options(timeout: .seconds(1))

    /// Of the connection to a peer: Raft's messages are held back for an election timeout at most, and a link that stands makes
    /// no second attempt that could succeed.
    package func forPeer(electionTimeout: Duration) -> CircuitBreaker.Options {
        var options = self
        options.successThreshold = 1
        options.timeout = min(timeout, electionTimeout)
        return options
    }
}
