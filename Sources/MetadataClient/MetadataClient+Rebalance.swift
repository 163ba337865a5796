import MetadataModel

/// Rebalances. What becomes of one is in `rebalance`, and in the `coordinator` of the leader's `NodeStatusReport`.
extension MetadataClient {
    /// Begins a rebalance, which the leader then plans and carries out. While another is under way this one waits for its turn, in
    /// the order of asking, until a second before `timeout` and for 30 s at most (the nodes' setting says); then it is refused.
    /// Meanwhile a client with more than a thousand writes under way has further ones wait: use another for this.
    ///
    /// - Returns: the version at which it began, which names it.
    @discardableResult
    public func startRebalance(
        _ strategy: BalanceStrategy = .balanced, excluding excluded: [BrokerID] = [], timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        let command = Command.startRebalance(.init(strategy: strategy, origin: .request, excluded: excluded))
        return try await change(command, timeout: timeout)
    }

    /// Cancels a rebalance; what is under way goes on to its end, and nothing more is begun.
    ///
    /// - Parameter id: refuse unless it is this one that is under way.
    @discardableResult
    public func cancelRebalance(
        _ id: Version? = nil, detail: String = "", timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        let command = Command.endRebalance(.init(rebalance: id, ending: .cancelled, detail: detail))
        return try await change(command, timeout: timeout)
    }

    /// The latest rebalance, under way or ended; nil when there never was one.
    public func rebalance(
        consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> Rebalance? {
        for entry in try await configs(of: .cluster, consistency: consistency, timeout: timeout) {
            if let rebalance = Rebalance(entry) { return rebalance }
        }
        return nil
    }

    /// Raises the level of features; refused until every member has said that it understands it. There is no way back.
    @discardableResult
    public func raiseFeatureLevel(
        to level: UInt32 = Limits.featureLevelMax, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.setFeatureLevel(level), timeout: timeout)
    }
}
