import Wire

/// A node's circuit breakers, or why it did not show them. For operators' tools.
package struct NodeBreakers: Sendable {
    package struct Breaker: Hashable, Sendable {
        package var name: String
        /// `closed`, `open` or `half_open`.
        package var state: String
        /// Of an open one, in milliseconds; zero: the next call is a probe.
        package var retryAfter: UInt32?
        package var failuresInARow: UInt64
        package var successes: UInt64
        package var failures: UInt64
        /// What said nothing about the other side.
        package var neutrals: UInt64
        package var rejections: UInt64
        /// How often it opened.
        package var openings: UInt64

        package init(
            name: String, state: String, retryAfter: UInt32?, failuresInARow: UInt64, successes: UInt64,
            failures: UInt64,
            neutrals: UInt64, rejections: UInt64, openings: UInt64
        ) {
            self.name = name
            self.state = state
            self.retryAfter = retryAfter
            self.failuresInARow = failuresInARow
            self.successes = successes
            self.failures = failures
            self.neutrals = neutrals
            self.rejections = rejections
            self.openings = openings
        }
    }

    /// What is to be done to one of them.
    package enum Control: Hashable, Sendable {
        /// Closes it.
        case reset(String)
        /// Opens it for one pause.
        case open(String)
    }

    package var endpoint: MetadataClient.Endpoint
    /// Nil when the node did not even say who it is.
    package var nodeID: UInt64?
    package var breakers: Result<[Breaker], MetadataError>

    package init(
        endpoint: MetadataClient.Endpoint, nodeID: UInt64? = nil, breakers: Result<[Breaker], MetadataError>
    ) {
        self.endpoint = endpoint
        self.nodeID = nodeID
        self.breakers = breakers
    }
}

extension MetadataClient {
    /// Asks every node that is known, one after the other; works without a leader.
    ///
    /// - Parameters:
    ///   - control: what is to be done there before; nil: nothing.
    ///   - isMeant: by the node's id; others are not asked.
    package func breakers(
        after control: NodeBreakers.Control? = nil, timeout: Duration? = nil,
        where isMeant: (UInt64) -> Bool = { _ in true }
    ) async -> [NodeBreakers] {
        var found: [NodeBreakers] = []
        for node in await nodeStatuses(timeout: timeout) {
            switch node.status {
            case .success(let status):
                guard isMeant(status.nodeID) else { continue }
                let readings = await breakers(
                    of: node.endpoint, after: control.map(BreakerControl.init), timeout: timeout)
                found.append(
                    NodeBreakers(
                        endpoint: node.endpoint, nodeID: status.nodeID,
                        breakers: readings.map { $0.map(NodeBreakers.Breaker.init) }))
            case .failure(let error):
                found.append(NodeBreakers(endpoint: node.endpoint, breakers: .failure(error)))
            }
        }
        return found
    }
}

extension BreakerControl {
    fileprivate init(_ control: NodeBreakers.Control) {
        switch control {
        case .reset(let name): self.init(name: name, action: .reset)
        case .open(let name): self.init(name: name, action: .open)
        }
    }
}

extension NodeBreakers.Breaker {
    fileprivate init(_ reading: BreakerReading) {
        self.init(
            name: reading.name, state: reading.state.rawValue,
            retryAfter: reading.state == .open ? reading.retryAfterMilliseconds : nil,
            failuresInARow: reading.failuresInARow, successes: reading.successes, failures: reading.failures,
            neutrals: reading.neutrals, rejections: reading.rejections, openings: reading.openings)
    }
}
