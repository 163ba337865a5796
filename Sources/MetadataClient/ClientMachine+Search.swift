import NIOCore
import Resilience
import Wire

/// Dialling, and the search for the leader. How fast it finds a new leader decides how long a failover takes for us.
extension ClientMachine {
    /// Dials a closed node when its pause is over, or at once when there is news about it.
    mutating func dial(_ key: NodeKey, isUrgent: Bool = false, now: NIODeadline) {
        guard case .running = phase, case .closed(let notBefore) = nodes[key.index].link else { return }
        guard isUrgent || (notBefore <= now && nodes[key.index].isWanted) else { return }
        // News of the node, or nobody else to turn to: then it is tried whatever its breaker says.
        let isLastHope = !nodes.contains { $0.isWanted && ($0.connection != nil || $0.breaker.phase != .open) }
        if isUrgent || isLastHope { nodes[key.index].breaker.probeSoon(now: now.sinceStart) }
        do {
            nodes[key.index].permit = try nodes[key.index].breaker.admit(now: now.sinceStart)
        } catch {
            return
        }
        lastGeneration += 1
        let connection = ConnectionID(node: key, generation: lastGeneration)
        nodes[key.index].link = .connecting(connection, until: now + connectTimeout)
        actions.append(.connect(connection, nodes[key.index].endpoint))
    }

    /// Asks a connected node how it is; one question at a time.
    mutating func probe(_ key: NodeKey, now: NIODeadline) {
        guard let link = nodes[key.index].ready, link.probe == nil, link.isWritable else { return }
        let id = nextInternalID()
        nodes[key.index].updateReady { link in
            if !link.awaitsAnswer { link.quietSince = now }
            link.probe = Node.ReadyLink.Probe(id: id, sentAt: now)
        }
        actions.append(.send(link.connection, ClientRequestFrame(id: id, request: .nodeStatus)))
    }

    /// Dials or asks every node.
    mutating func askAround(now: NIODeadline) {
        for index in nodes.indices where nodes[index].isWanted {
            let key = NodeKey(index: index)
            if nodes[index].ready != nil { probe(key, now: now) } else { dial(key, now: now) }
        }
    }

    // MARK: Search

    /// Whether some call waits for a node that is not there.
    private func isMissingNode(_ now: NIODeadline) -> Bool {
        let needsLeader = !(newWrites.isEmpty && resends.isEmpty && leaderReads.isEmpty && controls.isEmpty)
        if needsLeader || missedLeader, leaderLink == nil { return true }
        let needsAny = !(anywhereReads.isEmpty && unplacedWatches.isEmpty)
        return needsAny && !nodes.contains { $0.ready != nil && $0.breaker.admits(now: now.sinceStart) }
    }

    /// Starts the search when it is needed, and ends it when it is over. Part of each dispatch.
    mutating func updateSearch(now: NIODeadline) {
        if leaderLink != nil { missedLeader = false }
        guard case .running = phase, isMissingNode(now) else {
            search = nil
            return
        }
        if search == nil {
            search = Search(since: now, newsAt: now, nextRound: now)
        }
        searchRound(now: now)
    }

    /// The leader is gone, or denies: everybody is asked now, however long the pause was going to be.
    mutating func searchAtOnce(now: NIODeadline) {
        search?.nextRound = now
        search?.newsAt = now
    }

    /// One round of asking, when it is due.
    mutating func searchRound(now: NIODeadline) {
        guard var current = search, current.nextRound <= now else { return }
        current.rounds += 1
        current.nextRound = now + searchPause(elapsed: now - current.newsAt)
        search = current
        if current.rounds % ClientMachine.searchRoundsUntilForgotten == 0 { leader.forget() }
        let isFresh = nodes.allSatisfy { $0.connection == nil && $0.problem == nil }
        if current.rounds == 1, isFresh, let first = nodes.indices.randomElement(using: &random) {
            // A client that starts asks one node first: a crowd that starts together does not connect to all.
            dial(NodeKey(index: first), now: now)
        } else {
            askAround(now: now)
        }
    }

    /// Half of it fixed, half random, so that a crowd of clients spreads.
    private mutating func searchPause(elapsed: TimeAmount) -> TimeAmount {
        let grown = Duration.nanoseconds(elapsed.nanoseconds / Int64(ClientMachine.searchPauseDivisor))
        let bound = min(options.retry.leaderSearchCap, max(options.retry.leaderSearchBase, grown))
        return TimeAmount(bound / 2 + Backoff.random(upTo: bound / 2, using: &random))
    }

    /// What keeps calls from being served, for the detail of errors.
    var troubleDetail: String {
        let problems = nodes.filter(\.isWanted).map { node in
            switch node.link {
            case .ready: "\(node.endpoint): connected"
            case .closed, .connecting, .greeting: "\(node.endpoint): \(node.problem ?? "not connected yet")"
            }
        }
        let summary = leader.node.map { "the leader is \(nodes[$0.index].endpoint)" } ?? "no leader is known"
        return "\(summary); \(problems.joined(separator: "; "))"
    }
}
