import CZlib
import Foundation
import Logging
import MetadataStore
import NIOCore
import RaftCore
import Wire

/// Snapshots on their way to followers: a copy is spooled to a file first, so that a slow peer holds no transaction open,
/// then sent chunk by chunk; the next leaves when the receiver has the last, and a broken connection goes on where it
/// stopped. Confined to the node's event loop.
final class SnapshotSenders {
    static let chunkBytes = 256 << 10
    /// A chunk that was not acknowledged for this long is sent again.
    static let resendAfter: TimeAmount = .seconds(2)

    private struct Transfer {
        var id: UInt64
        var term: Term
        var path: String
        /// Nil while the copy is being written.
        var file: SnapshotFile?
        var acknowledged: UInt64 = 0
        var started = NIODeadline.now()
        var lastProgress = NIODeadline.now()
        var lastSent = NIODeadline.now()
    }

    private unowned let node: Node
    private let storage: NodeStorage
    private var transfers: [NodeID: Transfer] = [:]
    private var lastID: UInt64
    /// Transfers to a peer that failed in a row.
    private var failures: [NodeID: Int] = [:]
    static let pauseMax: TimeAmount = .seconds(30)

    init(node: Node, storage: NodeStorage) {
        self.node = node
        self.storage = storage
        // Ids of another run of this process must not be taken for ours.
        self.lastID = UInt64.random(in: 0..<(1 << 48)) << 8
    }

    func begin(to peer: NodeID) {
        guard transfers[peer] == nil else { return }
        lastID += 1
        let id = lastID
        let path = "\(storage.snapshotDirectory)/outgoing-\(peer)-\(id).snapshot"
        transfers[peer] = Transfer(id: id, term: node.term, path: path)
        node.logger.info("sending a snapshot", metadata: ["peer": "\(peer)"])
        let store = storage.store
        storage.inBackground {
            Result { () throws(StoreError) in try store.writeSnapshot(to: path) }
        } then: { node, result in
            node.spooled(result, id: id, to: peer)
        }
    }

    func spooled(_ result: Result<SnapshotFile, StoreError>, id: UInt64, to peer: NodeID) {
        guard let transfer = transfers[peer], transfer.id == id else { return }
        switch result {
        case .success(let file) where file.position.term > transfer.term:
            // Deposed while the copy was made: it holds what this leader never proposed.
            end(peer, succeeded: false, reason: "no longer the leader of term \(transfer.term)")
        case .success(let file):
            transfers[peer]?.file = file
            transfers[peer]?.lastProgress = .now()
            sendChunk(to: peer)
        case .failure(let error):
            end(peer, succeeded: false, reason: "\(error)")
        }
    }

    func received(_ progress: SnapshotProgress, from peer: NodeID) {
        guard let transfer = transfers[peer], transfer.id == progress.snapshotID else { return }
        switch progress.state {
        case .received(let offset):
            guard let file = transfer.file, offset <= UInt64(file.bytes) else { return }
            transfers[peer]?.acknowledged = offset
            transfers[peer]?.lastProgress = .now()
            if offset < UInt64(file.bytes) { sendChunk(to: peer) }
        case .installed:
            end(peer, succeeded: true, reason: "installed")
        case .failed(let reason):
            end(peer, succeeded: false, reason: reason)
        }
    }

    /// The connection is back: go on from what the receiver is known to have.
    func resume(to peer: NodeID) {
        if transfers[peer]?.file != nil { sendChunk(to: peer) }
    }

    /// Called now and then: sends again what was lost, gives up what makes no progress.
    func check(timeout: TimeAmount) {
        for (peer, transfer) in transfers {
            if NIODeadline.now() - transfer.lastProgress > timeout {
                end(peer, succeeded: false, reason: "no progress for \(timeout.nanoseconds / 1_000_000_000) s")
            } else if transfer.file != nil, NIODeadline.now() - transfer.lastSent > SnapshotSenders.resendAfter {
                sendChunk(to: peer)
            }
        }
    }

    private func sendChunk(to peer: NodeID) {
        guard let transfer = transfers[peer], let file = transfer.file, let configuration = file.configuration else {
            return
        }
        transfers[peer]?.lastSent = .now()
        let offset = transfer.acknowledged
        let path = transfer.path
        storage.inBackground {
            Result { try readChunk(path: path, offset: offset, count: SnapshotSenders.chunkBytes) }
        } then: { node, result in
            switch result {
            case .success(let bytes):
                let chunk = SnapshotChunk(
                    snapshotID: transfer.id, term: transfer.term, position: file.position,
                    configuration: configuration, offset: offset,
                    totalBytes: UInt64(file.bytes),
                    checksum: checksum(of: bytes), bytes: bytes)
                // When the link is down the chunk is sent again as it comes up.
                _ = node.send(.snapshotChunk(chunk), to: peer)
            case .failure(let error):
                node.snapshotUnreadable(error, to: peer)
            }
        }
    }

    func endAll(reason: String) {
        for peer in transfers.keys.sorted() { end(peer, succeeded: false, reason: reason) }
    }

    func end(_ peer: NodeID, succeeded: Bool, reason: String) {
        guard let transfer = transfers.removeValue(forKey: peer) else { return }
        let path = transfer.path
        storage.inBackground {
            removeFile(path)
        } then: { _, _ in
        }
        let milliseconds = (NIODeadline.now() - transfer.started).nanoseconds / 1_000_000
        node.logger.info(
            "snapshot transfer ended",
            metadata: [
                "peer": "\(peer)", "result": "\(reason)", "bytes": "\(transfer.acknowledged)",
                "duration_ms": "\(milliseconds)",
            ])
        guard !succeeded else {
            failures[peer] = nil
            return node.snapshotSent(to: peer, succeeded: true)
        }
        // A copy costs much: whoever failed to take one is not sent the next at once.
        let failed = (failures[peer] ?? 0) + 1
        failures[peer] = failed
        let pause = min(SnapshotSenders.pauseMax, .milliseconds(250) * (1 << min(failed, 10)))
        let bound = NIOLoopBound(node, eventLoop: node.eventLoop)
        node.eventLoop.scheduleTask(in: pause) { bound.value.snapshotSent(to: peer, succeeded: false) }
    }
}

func checksum(of bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { buffer in
        UInt32(truncatingIfNeeded: crc32_z(0, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), buffer.count))
    }
}

private func readChunk(path: String, offset: UInt64, count: Int) throws -> [UInt8] {
    let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { handle.closeFile() }
    try handle.seek(toOffset: offset)
    return [UInt8](try handle.read(upToCount: count) ?? Data())
}

/// Removes a spool file; one that is not there is as good.
func removeFile(_ path: String) {
    unlink(path)
}
