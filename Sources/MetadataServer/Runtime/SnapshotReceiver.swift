import Foundation
import Logging
import MetadataStore
import NIOCore
import RaftCore
import Replica
import Wire

/// Does what `SnapshotReceiverMachine` decides: writes, verifies and answers. Confined to the node's event loop.
final class SnapshotReceiver {
    private unowned let node: Node
    private let storage: NodeStorage
    private var machine: SnapshotReceiverMachine
    private(set) var transfers = SnapshotTransfers()

    init(node: Node, storage: NodeStorage) {
        self.node = node
        self.storage = storage
        machine = SnapshotReceiverMachine(timeoutMilliseconds: node.settings.snapshots.timeoutMilliseconds)
    }

    func path(of id: UInt64) -> String { "\(storage.snapshotDirectory)/incoming-\(id).snapshot" }

    func received(_ chunk: SnapshotChunk, from peer: NodeID) {
        let isIntact = checksum(of: chunk.bytes) == chunk.checksum
        if !isIntact {
            node.loggers.snapshots.warning("a snapshot chunk was damaged on its way", metadata: ["peer": "\(peer)"])
        }
        let snapshot = IncomingSnapshot(
            id: chunk.snapshotID, from: peer, term: chunk.term, position: chunk.position,
            configuration: chunk.configuration)
        machine.arrived(
            SnapshotReceiverMachine.Chunk(
                snapshot: snapshot, totalBytes: chunk.totalBytes, offset: chunk.offset, count: chunk.bytes.count,
                isIntact: isIntact),
            term: node.term, applied: node.applied, now: Node.milliseconds)
        perform(with: chunk)
    }

    func installed(_ id: UInt64) {
        transfers.succeeded += 1
        machine.installed(id)
        perform()
    }

    func failed(_ id: UInt64, _ reason: String) {
        machine.failed(id, reason)
        perform()
    }

    func tick() {
        machine.tick(now: Node.milliseconds)
        perform()
    }

    /// - Parameter chunk: the one that has just arrived; it alone can lead to a write.
    private func perform(with chunk: SnapshotChunk? = nil) {
        for action in machine.takeActions() {
            switch action {
            case .write:
                guard let chunk else { preconditionFailure("a write without a chunk") }
                write(chunk)
            case .verify(let snapshot): verify(snapshot)
            case .offer(let snapshot): node.snapshotReceived(snapshot)
            case .remove(let id):
                let path = path(of: id)
                storage.inBackground {
                    removeFile(path)
                } then: { _, _ in
                }
            case .answer(let peer, let id, let answer): send(answer, id: id, to: peer)
            }
        }
    }

    private func write(_ chunk: SnapshotChunk) {
        if chunk.offset == 0 {
            node.loggers.snapshots.info(
                "receiving a snapshot", metadata: ["position": "\(chunk.position)", "bytes": "\(chunk.totalBytes)"])
        }
        transfers.bytes += UInt64(chunk.bytes.count)
        let path = path(of: chunk.snapshotID)
        storage.inBackground {
            Result { try writeChunk(chunk.bytes, at: chunk.offset, path: path) }
        } then: { node, result in
            switch result {
            case .success: node.snapshotsIn.wrote(chunk.snapshotID)
            case .failure(let error): node.snapshotsIn.failed(chunk.snapshotID, "\(error)")
            }
        }
    }

    private func wrote(_ id: UInt64) {
        machine.wrote(id)
        perform()
    }

    private func verify(_ snapshot: IncomingSnapshot) {
        let path = path(of: snapshot.id)
        storage.inBackground {
            Result { () throws(StoreError) in try MetadataStore.verifySnapshot(at: path) }
        } then: { node, result in
            switch result {
            case .success(let file): node.snapshotsIn.verified(file, id: snapshot.id)
            case .failure(let error): node.snapshotsIn.failed(snapshot.id, "\(error)")
            }
        }
    }

    private func verified(_ file: SnapshotFile, id: UInt64) {
        machine.verified(id, position: file.position, configuration: file.configuration, applied: node.applied)
        perform()
    }

    private func send(_ answer: SnapshotAnswer, id: UInt64, to peer: NodeID) {
        let state: SnapshotProgress.State
        switch answer {
        case .received(let offset): state = .received(offset: offset)
        case .installed: state = .installed
        case .failed(let reason):
            transfers.failed += 1
            node.loggers.snapshots.warning(
                "a snapshot is not taken in", metadata: ["from": "\(peer)", "reason": "\(reason)"])
            state = .failed(reason)
        }
        // An answer that is lost is made up for by the sender, who asks by sending the chunk again.
        _ = node.send(.snapshotProgress(SnapshotProgress(snapshotID: id, state: state)), to: peer)
    }
}

private func writeChunk(_ bytes: [UInt8], at offset: UInt64, path: String) throws {
    if offset == 0 {
        let isCreated = FileManager.default.createFile(
            atPath: path, contents: nil, attributes: [.posixPermissions: 0o600])
        guard isCreated else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path]) }
    }
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    defer { handle.closeFile() }
    try handle.seek(toOffset: offset)
    try handle.write(contentsOf: bytes)
}
