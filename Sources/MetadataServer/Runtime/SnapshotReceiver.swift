import Foundation
import Logging
import MetadataStore
import NIOCore
import RaftCore
import Replica
import Wire

/// A snapshot that arrives from the leader, chunk by chunk, into a file. Nothing is believed before the whole file was
/// verified; nothing is replaced before the replica says so. Confined to the node's event loop.
final class SnapshotReceiver {
    private enum State {
        case idle
        /// Exits: `writing` by the chunk at `offset`.
        case expecting(Incoming, offset: UInt64)
        /// A chunk is being written. Exits: `expecting`, `verifying` after the last, `idle` on failure.
        case writing(Incoming)
        /// Exits: `installing`, or `idle` on failure.
        case verifying(Incoming)
        /// The replica has it. Exits: `idle`.
        case installing(Incoming)
    }

    private struct Incoming {
        var from: NodeID
        var snapshot: IncomingSnapshot
        var totalBytes: UInt64
    }

    private unowned let node: Node
    private let storage: NodeStorage
    private var state = State.idle

    init(node: Node, storage: NodeStorage) {
        self.node = node
        self.storage = storage
    }

    func path(of id: UInt64) -> String { "\(storage.snapshotDirectory)/incoming-\(id).snapshot" }

    func received(_ chunk: SnapshotChunk, from peer: NodeID) {
        guard checksum(of: chunk.bytes) == chunk.checksum else {
            node.logger.warning("a snapshot chunk was damaged on its way", metadata: ["peer": "\(peer)"])
            return
        }
        switch state {
        case .idle:
            begin(chunk, from: peer)
        case .expecting(let incoming, let offset):
            if incoming.snapshot.id != chunk.snapshotID {
                discard(incoming)
                begin(chunk, from: peer)
            } else if chunk.offset == offset {
                write(chunk, incoming)
            } else {
                report(.received(offset: offset), id: chunk.snapshotID, to: peer)
            }
        case .writing(let incoming), .verifying(let incoming), .installing(let incoming):
            // One at a time: another transfer waits for its sender's next attempt.
            if incoming.snapshot.id != chunk.snapshotID {
                report(.failed("another snapshot is being taken in"), id: chunk.snapshotID, to: peer)
            } else if case .writing = state {
                return
            } else {
                // All is here; saying so again keeps the sender patient.
                report(.received(offset: incoming.totalBytes), id: chunk.snapshotID, to: peer)
            }
        }
    }

    func installed(_ id: UInt64) { finished(id, .installed) }

    func failed(_ id: UInt64, _ reason: String) { finished(id, .failed(reason)) }

    private func finished(_ id: UInt64, _ result: SnapshotProgress.State) {
        guard case .installing(let incoming) = state, incoming.snapshot.id == id else { return }
        state = .idle
        discard(incoming)
        report(result, id: id, to: incoming.from)
    }

    private func begin(_ chunk: SnapshotChunk, from peer: NodeID) {
        guard chunk.offset == 0 else {
            report(.received(offset: 0), id: chunk.snapshotID, to: peer)
            return
        }
        guard chunk.position.term <= chunk.term else {
            report(.failed("it is of a later term than its sender"), id: chunk.snapshotID, to: peer)
            return
        }
        guard chunk.position.index > node.applied else {
            report(.failed("already at \(node.applied)"), id: chunk.snapshotID, to: peer)
            return
        }
        let snapshot = IncomingSnapshot(
            id: chunk.snapshotID, from: peer, term: chunk.term, position: chunk.position,
            configuration: chunk.configuration)
        node.logger.info(
            "receiving a snapshot",
            metadata: ["from": "\(peer)", "position": "\(chunk.position)", "bytes": "\(chunk.totalBytes)"])
        write(chunk, Incoming(from: peer, snapshot: snapshot, totalBytes: chunk.totalBytes))
    }

    private func write(_ chunk: SnapshotChunk, _ incoming: Incoming) {
        state = .writing(incoming)
        let path = path(of: incoming.snapshot.id)
        storage.inBackground {
            Result { try writeChunk(chunk.bytes, at: chunk.offset, path: path) }
        } then: { node, result in
            node.wroteChunk(result, end: chunk.offset + UInt64(chunk.bytes.count), id: chunk.snapshotID)
        }
    }

    func wrote(_ result: Result<Void, any Error>, end: UInt64, id: UInt64) {
        guard case .writing(let incoming) = state, incoming.snapshot.id == id else { return }
        if case .failure(let error) = result { return abandon(incoming, "\(error)") }
        if end < incoming.totalBytes {
            state = .expecting(incoming, offset: end)
            report(.received(offset: end), id: id, to: incoming.from)
        } else {
            verify(incoming)
        }
    }

    private func verify(_ incoming: Incoming) {
        state = .verifying(incoming)
        let path = path(of: incoming.snapshot.id)
        storage.inBackground {
            Result { () throws(StoreError) in try MetadataStore.verifySnapshot(at: path) }
        } then: { node, result in
            node.verifiedSnapshot(result, id: incoming.snapshot.id)
        }
    }

    func verified(_ result: Result<SnapshotFile, StoreError>, id: UInt64) {
        guard case .verifying(let incoming) = state, incoming.snapshot.id == id else { return }
        switch result {
        case .failure(let error):
            abandon(incoming, "\(error)")
        case .success(let file) where file.position != incoming.snapshot.position:
            abandon(incoming, "the file is of \(file.position), announced was \(incoming.snapshot.position)")
        case .success(let file) where file.configuration != incoming.snapshot.configuration:
            abandon(incoming, "the file names other members than its announcement")
        case .success:
            guard incoming.snapshot.position.index > node.applied else {
                return abandon(incoming, "already at \(node.applied)")
            }
            state = .installing(incoming)
            node.snapshotReceived(incoming.snapshot)
        }
    }

    private func abandon(_ incoming: Incoming, _ reason: String) {
        state = .idle
        discard(incoming)
        node.logger.warning("a snapshot was not taken in", metadata: ["reason": "\(reason)"])
        report(.failed(reason), id: incoming.snapshot.id, to: incoming.from)
    }

    private func discard(_ incoming: Incoming) {
        let path = path(of: incoming.snapshot.id)
        storage.inBackground {
            removeFile(path)
        } then: { _, _ in
        }
    }

    private func report(_ progress: SnapshotProgress.State, id: UInt64, to peer: NodeID) {
        // A report that is lost is made up for by the sender, who asks by sending the chunk again.
        _ = node.send(.snapshotProgress(SnapshotProgress(snapshotID: id, state: progress)), to: peer)
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
