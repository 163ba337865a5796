import MetadataModel
import NIOCore
import Resilience
import Wire

/// Connections to nodes.
extension ClientMachine {
    func makeNode(_ endpoint: MetadataClient.Endpoint, isConfigured: Bool) -> Node {
        Node(
            endpoint: endpoint, nodeID: nil, isConfigured: isConfigured, isMember: false,
            link: .closed(notBefore: NIODeadline.uptimeNanoseconds(0)),
            backoff: Backoff(base: options.retry.backoffBase, cap: options.retry.backoffCap),
            breaker: CircuitBreaker(options.breaker.options))
    }

    // MARK: Inputs from connections

    /// The socket is connected: hello goes out.
    mutating func connected(_ connection: ConnectionID, now: NIODeadline) {
        guard case .connecting(connection, _) = nodes[connection.node.index].link else { return }
        nodes[connection.node.index].link = .greeting(connection, until: now + connectTimeout)
        let hello = ClientHello(clusterID: options.clusterID, clientName: options.clientName)
        actions.append(.send(connection, ClientRequestFrame(id: nextInternalID(), request: .hello(hello))))
    }

    /// A connection could not be made, or broke. Whatever was sent on it may or may not have been carried out.
    ///
    /// - Parameter outcome: what it says of the node, if nothing was said of it since it was dialled.
    mutating func connectionLost(
        _ connection: ConnectionID, reason: String, outcome: CircuitBreaker.Outcome = .failure, now: NIODeadline
    ) {
        let key = connection.node
        guard nodes[key.index].connection == connection else { return }
        nodes[key.index].judge(outcome, now: now)
        let wasReady = nodes[key.index].ready != nil
        if wasReady { moveWatches(off: connection, tellNode: false) }
        var pause = nodes[key.index].backoff.next(using: &random)
        // While everybody waits for a leader, a node that comes back is not kept waiting.
        if search != nil { pause = min(pause, options.retry.leaderSearchCap) }
        nodes[key.index].link = .closed(notBefore: now + TimeAmount(pause))
        nodes[key.index].problem = reason
        actions.append(.log(.connectionLost(nodes[key.index].endpoint, reason: reason)))
        endCalls(on: connection, reason: reason)
        if wasReady, leader.node == key { searchAtOnce(now: now) }
        failIfRejectedEverywhere()
    }

    /// The client closes a connection that is of no use.
    mutating func drop(
        _ connection: ConnectionID, reason: String, outcome: CircuitBreaker.Outcome = .failure, now: NIODeadline
    ) {
        actions.append(.disconnect(connection))
        connectionLost(connection, reason: reason, outcome: outcome, now: now)
    }

    /// The node does not keep to the protocol.
    mutating func violated(_ connection: ConnectionID, _ what: String, now: NIODeadline) {
        drop(connection, reason: "protocol violation: \(what)", now: now)
    }

    /// A request was not sent after all, since no frame can carry it.
    mutating func unsendable(_ connection: ConnectionID, _ requestID: CallID, reason: String) {
        if let watch = watchRequests[requestID] {
            return endWatch(watch, delivering: [], failure: CallFailure(.invalidRequest, .definite, reason))
        }
        let id = retries[requestID] ?? requestID
        guard let call = calls[id] else { return }
        let isOpen = call.hasEffect && call.mayHaveHappened
        fail(id, CallFailure(.invalidRequest, isOpen ? .indefinite : .definite, reason))
    }

    mutating func writabilityChanged(_ connection: ConnectionID, isWritable: Bool) {
        guard nodes[connection.node.index].ready?.connection == connection else { return }
        nodes[connection.node.index].updateReady { $0.isWritable = isWritable }
    }

    private mutating func endCalls(on connection: ConnectionID, reason: String) {
        let key = connection.node
        for id in calls.keys.sorted() {
            guard let call = calls[id] else { continue }
            if call.onlyNode == key {
                let detail = "\(nodes[key.index].endpoint): \(reason)"
                fail(id, CallFailure(.unavailable, call.isUnresolved ? .indefinite : .definite, detail))
            } else if call.isSent(on: connection) {
                requeueLost(id, call)
            }
        }
    }

    /// The attempt of a call is lost. Writes keep their ticket, so that trying again is safe.
    private mutating func requeueLost(_ id: CallID, _ call: Call) {
        if case .closeSession = call.kind { return fail(id, CallFailure(.unavailable, .indefinite, "connection lost")) }
        requeue(id, isResolved: false)
    }

    // MARK: Greeting

    mutating func greeted(_ connection: ConnectionID, _ response: ClientResponse, now: NIODeadline) {
        let key = connection.node
        switch response {
        case .hello(let hello):
            guard clusterID.isEmpty || hello.clusterID == clusterID else {
                let detail = "\(nodes[key.index].endpoint) belongs to cluster \(hello.clusterID), not to \(clusterID)"
                return reject(connection, CallFailure(.wrongCluster, .definite, detail), now: now)
            }
            clusterID = hello.clusterID
            nodes[key.index].rejection = nil
            nodes[key.index].problem = nil
            nodes[key.index].nodeID = hello.nodeID
            if hello.leaderWaitMilliseconds > 0 {
                toldLeaderWait = .milliseconds(Int64(hello.leaderWaitMilliseconds))
            }
            var link = Node.ReadyLink(
                connection: connection, quietSince: now, nextWatchProbe: .distantFuture,
                nextMembersProbe: now + ClientMachine.membersProbeInterval, usedAt: now)
            if hello.leader == nil { link.leaderlessSince = now }
            nodes[key.index].link = .ready(link)
            learn(hello.members)
            heed(hello.leader, saidBy: key, now: now)
        case .failure(let failure) where failure.code == .wrongCluster:
            reject(connection, CallFailure(.wrongCluster, .definite, failure.detail), now: now)
        case .failure(let failure) where failure.code == .unsupportedProtocol:
            reject(connection, CallFailure(.unsupportedProtocol, .definite, failure.detail), now: now)
        case .failure(let failure):
            drop(connection, reason: "hello: \(failure.code.rawValue): \(failure.detail)", now: now)
        case .write, .read, .watchEvents, .watchProgress, .watchTooOld, .heartbeat, .nodeStatus, .members,
            .membershipRefused, .control, .breakers:
            violated(connection, "hello was answered with something else", now: now)
        }
    }

    private mutating func reject(_ connection: ConnectionID, _ failure: CallFailure, now: NIODeadline) {
        nodes[connection.node.index].rejection = failure
        actions.append(.log(.rejected(nodes[connection.node.index].endpoint, reason: failure.detail)))
        drop(connection, reason: failure.detail, outcome: .neutral, now: now)
    }

    /// When no node is of use, waiting helps nobody.
    private mutating func failIfRejectedEverywhere() {
        let wanted = nodes.filter(\.isWanted)
        guard let rejection = wanted.first?.rejection, wanted.allSatisfy({ $0.rejection != nil }) else { return }
        for id in calls.keys.sorted() {
            guard let call = calls[id] else { continue }
            let outcome: MetadataError.Outcome = call.isUnresolved ? .indefinite : .definite
            fail(id, CallFailure(rejection.code, outcome, rejection.detail))
        }
    }

    // MARK: What nodes know of each other

    /// A node was asked how it is.
    mutating func probed(_ connection: ConnectionID, _ status: NodeStatus, now: NIODeadline) {
        let key = connection.node
        nodes[key.index].nodeID = status.nodeID
        learn(status.members)
        heed(status.leader, saidBy: key, now: now)
        guard nodes[key.index].ready?.connection == connection else { return }
        nodes[key.index].updateReady { link in
            link.leaderlessSince = status.leader == nil ? link.leaderlessSince ?? now : nil
        }
        guard let link = nodes[key.index].ready, link.watches > 0, let since = link.leaderlessSince else { return }
        // What the node delivers may be long out of date (pitfall 40): let another node carry the watches.
        nodes[key.index].updateReady { $0.nextWatchProbe = now + ClientMachine.leaderlessProbeInterval }
        guard now - since >= ClientMachine.leaderlessMax else { return }
        if readyNodes(where: { $0 != key && nodes[$0.index].ready?.leaderlessSince == nil }).isEmpty {
            for other in nodes.indices where other != key.index { dial(NodeKey(index: other), now: now) }
        } else {
            moveWatches(off: connection, tellNode: true)
        }
    }

    /// A node told us who leads, or that it knows of nobody.
    private mutating func heed(_ hint: LeaderHint?, saidBy key: NodeKey, now: NIODeadline) {
        guard let hint, hint.nodeID == nodes[key.index].nodeID else {
            if leader.denied(by: key), hint == nil { searchAtOnce(now: now) }
            if let hint { heed(hint, from: key, now: now) }
            return
        }
        noteLeader(key, term: hint.term, byItself: true, now: now)
    }

    /// A node named another as the leader.
    mutating func heed(_ hint: LeaderHint, from key: NodeKey, now: NIODeadline) {
        guard let named = find(nodeID: hint.nodeID, address: hint.address) else { return }
        noteLeader(named, term: hint.term, byItself: false, now: now)
    }

    private mutating func noteLeader(_ key: NodeKey, term: UInt64, byItself: Bool, now: NIODeadline) {
        let previous = leader.node
        guard leader.named(key, term: term, byItself: byItself) else { return }
        actions.append(.log(.leaderChanged(nodes[key.index].endpoint, term: term)))
        dial(key, isUrgent: true, now: now)
        // What waits at the previous leader is sent to this one at once: if that one is cut off, it answers late or never.
        // Writes are recognized; see `Call.Ticket`.
        guard let previous, previous != key, let old = nodes[previous.index].ready?.connection else { return }
        for id in calls.keys.sorted() {
            guard let call = calls[id], call.isSent(on: old) else { continue }
            switch call.kind {
            case .write, .heartbeat, .membership, .openSession, .read(_, .linearizable, _):
                requeue(id, isResolved: false)
            case .read, .status, .control, .breakers, .closeSession: break
            }
        }
    }

    /// The members as some node knows them.
    mutating func learn(_ members: [MemberAddress]) {
        guard !members.isEmpty else { return }
        let keys = members.compactMap { find(nodeID: $0.nodeID, address: $0.clientAddress) }
        for index in nodes.indices { nodes[index].isMember = keys.contains(NodeKey(index: index)) }
    }

    /// The node of this name and address, made if it is new. A connection that stands is preferred to another address.
    private mutating func find(nodeID: UInt64, address: String) -> NodeKey? {
        if let connected = nodes.firstIndex(where: { $0.nodeID == nodeID && $0.ready != nil }) {
            return NodeKey(index: connected)
        }
        guard let endpoint = MetadataClient.Endpoint(parsing: address) else {
            return nodes.firstIndex { $0.nodeID == nodeID }.map(NodeKey.init)
        }
        if let known = nodes.firstIndex(where: { $0.endpoint == endpoint }) {
            nodes[known].nodeID = nodeID
            return NodeKey(index: known)
        }
        var node = makeNode(endpoint, isConfigured: false)
        node.nodeID = nodeID
        node.isMember = true
        if nodes.count < ClientMachine.nodesMax {
            nodes.append(node)
            return NodeKey(index: nodes.count - 1)
        }
        // Full: the place of a node that is no member any more is taken over.
        guard let free = nodes.firstIndex(where: { !$0.isWanted && $0.connection == nil }) else { return nil }
        nodes[free] = node
        return NodeKey(index: free)
    }
}
