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

    func objection(to hello: PeerHello) -> String? {
        guard hello.clusterID == settings.clusterID else {
            return "node \(hello.node) belongs to cluster \(hello.clusterID), this is \(settings.clusterID)"
        }
        guard let member = replica.core.configuration.member(hello.node) else {
            return "node \(hello.node) is not a member of cluster \(settings.clusterID)"
        }
        guard member.disk == .unknown || member.disk == hello.disk else {
            return "node \(hello.node) came with another disk than the one that joined; replace the member"
        }
        guard hello.target.rawValue == 0 || hello.target == settings.id else {
            return "meant for node \(hello.target), this is node \(settings.id)"
        }
        return nil
    }

    func peerHello(to peer: NodeID) -> PeerHello {
        PeerHello(clusterID: settings.clusterID, node: settings.id, disk: settings.disk, target: peer)
    }

    /// Why no working member sends such messages; nil when one might.
    func objection(to messages: [Message]) -> String? {
        for message in messages { if let objection = replica.core.objection(to: message) { return objection } }
        return nil
    }

    func received(_ messages: [Message]) {
        replica.receive(messages, now: Node.milliseconds)
        endTurnSoon()
    }

    func peerCalled(_ hello: PeerHello) {
        replica.introduced(hello.node, disk: hello.disk)
        links[hello.node]?.peerCalled()
    }
    /// The peer's own connection to us closed: the first sign of a process that died.
    func peerHungUp(_ peer: NodeID) { linkDown(peer, refused: false) }

    func linkUp(_ hello: PeerHello) {
        let peer = hello.node
        replica.introduced(peer, disk: hello.disk)
        logger.info("peer connected", metadata: ["peer": "\(peer)"])
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
