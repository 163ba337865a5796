import Logging
import MetadataModel
import NIOCore
import OrderedCollections
import RaftCore
import Replica
import Wire

/// What other members say, and snapshots on their way.
extension Node {
    // MARK: Peers

    /// Whether to listen to the node that says this. Asked again with everything it sends, since members change.
    func judge(_ hello: PeerHello) -> Result<PeerAdmission, PeerRefusal> {
        guard hello.clusterID == settings.clusterID else {
            return refusal(
                .wrongCluster,
                "node \(hello.node) belongs to cluster \(hello.clusterID), this is \(settings.clusterID)")
        }
        guard hello.target.rawValue == 0 || hello.target == settings.id else {
            return refusal(.wrongTarget, "meant for node \(hello.target), this is node \(settings.id)")
        }
        let admission = replica.admission(
            of: hello.node, disk: hello.disk, configurationIndex: hello.configurationIndex)
        switch admission {
        case .member, .newcomer:
            return .success(admission)
        case .notAMember:
            return refusal(
                .notAMember,
                "node \(hello.node) is not a member of cluster \(settings.clusterID) "
                    + "(members at log index \(replica.core.configurationIndex))")
        case .anotherDisk:
            return refusal(
                .anotherDisk,
                "node \(hello.node) came with another disk than the one that joined; replace the member")
        }
    }

    private func refusal(_ reason: PeerRefusal.Reason, _ detail: String) -> Result<PeerAdmission, PeerRefusal> {
        .failure(PeerRefusal(reason: reason, detail: detail))
    }

    func peerHello(to peer: NodeID) -> PeerHello {
        let known = replica.core.configuration.member(settings.id)?.peerAddress ?? ""
        return PeerHello(
            clusterID: settings.clusterID, node: settings.id, disk: settings.disk, target: peer,
            configurationIndex: replica.knownConfigurationIndex,
            peerAddress: settings.peerAddress.isWildcard ? known : "\(settings.peerAddress)")
    }

    /// Why no working member sends such messages; nil when one might.
    func objection(to messages: [Message]) -> String? {
        for message in messages { if let objection = replica.core.objection(to: message) { return objection } }
        return nil
    }

    func received(_ messages: [Message], as admission: PeerAdmission) {
        replica.receive(messages, as: admission, now: Node.milliseconds)
        endTurnSoon()
    }

    func peerCalled(_ hello: PeerHello, as admission: PeerAdmission, on connection: PeerConnection) {
        // It would not have called again if the one before were of use: that one may be half open for long.
        let before = inbound.updateValue(connection, forKey: hello.node)
        before?.close()
        if admission == .member {
            replica.introduced(hello.node, disk: hello.disk, featureLevelMax: hello.featureLevelMax)
        }
        refusals[hello.node] = nil
        if callers.count < Configuration.membersMax || callers[hello.node] != nil { callers[hello.node] = hello }
        reconcileLinks()
        links[hello.node]?.peerCalled(from: hello.peerAddress)
    }

    /// Says once why a node is not listened to.
    func refuses(_ peer: NodeID, _ refusal: PeerRefusal) {
        guard refusals[peer] != refusal else { return }
        if refusals.count >= Configuration.membersMax { refusals.removeAll() }
        refusals[peer] = refusal
        loggers.peers.warning("not listening to a node", metadata: ["peer": "\(peer)", "reason": "\(refusal.detail)"])
    }

    /// The peer does not listen to this node.
    func linkRefused(by peer: NodeID, _ refusal: PeerRefusal) {
        callers[peer] = nil
        if replica.status.leader == nil, refusal.reason != .wrongTarget, exclusion?.reason != refusal.reason {
            exclusion = refusal
            loggers.peers.error(
                "another node does not listen", metadata: ["peer": "\(peer)", "reason": "\(refusal.detail)"])
        }
        reconcileLinks()
    }
    /// The peer's own connection to us closed: the first sign of a process that died.
    func peerHungUp(_ peer: NodeID, _ connection: PeerConnection) {
        guard inbound[peer] === connection else { return }
        inbound[peer] = nil
        linkDown(peer, refused: false)
    }

    func linkUp(_ hello: PeerHello) {
        let peer = hello.node
        loggers.peers.info("peer connected", metadata: ["peer": "\(peer)"])
        snapshotsOut.connected(to: peer)
    }

    func linkDown(_ peer: NodeID, refused: Bool) {
        guard !isStopping else { return }
        replica.connectionClosed(to: peer, refused: refused)
        endTurnSoon()
    }

    func send(_ frame: PeerFrame, to peer: NodeID) -> Bool { links[peer]?.send(frame) ?? false }

    // MARK: Snapshots

    func received(_ chunk: SnapshotChunk, from peer: NodeID) { snapshotsIn.received(chunk, from: peer) }

    func received(_ progress: SnapshotProgress, from peer: NodeID) { snapshotsOut.received(progress, from: peer) }

    func snapshotSent(to peer: NodeID, succeeded: Bool) {
        replica.snapshotSent(to: peer, succeeded: succeeded)
        endTurnSoon()
    }

    func snapshotReceived(_ snapshot: IncomingSnapshot) {
        replica.snapshotReceived(snapshot)
        endTurnSoon()
    }

    var term: Term { replica.status.term }
    var configuration: Configuration { replica.core.configuration }
    var applied: LogIndex { replica.appliedIndex }
}
