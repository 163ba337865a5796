import CZlib
import Foundation
import Logging
import MetadataStore
import NIOCore
import RaftCore
import Replica
import Resilience
import Wire

/// Does what `SnapshotSenderMachine` decides: copies, reads and sends. Confined to the node's event loop.
final class SnapshotSender {
    private unowned let node: Node
    private let storage: NodeStorage
    private var machine: SnapshotSenderMachine
    /// What is in the files that are being sent.
    private var files: [UInt64: SnapshotFile] = [:]
    private(set) var transfers = SnapshotTransfers()
    private var wake: Scheduled<Void>?
    private var wakeAt: UInt64?

    init(node: Node, storage: NodeStorage) {
        self.node = node
        self.storage = storage
        machine = SnapshotSenderMachine(
            options: node.settings.snapshots, firstID: UInt64.random(in: 0..<(1 << 48)) << 8, now: Node.milliseconds)
    }

    /// How it stands with turns.
    var turns: KeyedLockReading { machine.turnReading }

    func wanted(by peer: NodeID) {
        machine.wanted(by: peer, now: Node.milliseconds)
        perform()
    }

    func received(_ progress: SnapshotProgress, from peer: NodeID) {
        machine.answered(
            SnapshotAnswer(progress.state), id: progress.snapshotID, from: peer, now: Node.milliseconds)
        perform()
    }

    func connected(to peer: NodeID) {
        machine.connected(to: peer, now: Node.milliseconds)
        perform()
    }

    func endAll(reason: String) {
        machine.endAll(reason, now: Node.milliseconds)
        perform()
    }

    func statusChanged(_ status: Status) {
        machine.leads(status.role == .leader ? status.term : nil, now: Node.milliseconds)
        perform()
    }

    func tick() {
        machine.tick(now: Node.milliseconds, members: node.configuration.members.map(\.id))
        perform()
    }

    private func path(of id: UInt64) -> String { "\(storage.snapshotDirectory)/outgoing-\(id).snapshot" }

    private func perform() {
        for action in machine.takeActions() { perform(action) }
        guard machine.wakeAt != wakeAt else { return }
        wake?.cancel()
        wakeAt = machine.wakeAt
        guard let wakeAt else { return }
        let now = Node.milliseconds
        let bound = node.loopBound
        wake = node.eventLoop.scheduleTask(in: .milliseconds(Int64(wakeAt > now ? wakeAt - now : 1))) {
            bound.value.snapshotsOut.woken()
        }
    }

    private func woken() {
        wakeAt = nil
        tick()
    }

    private func perform(_ action: SnapshotSenderMachine.Action) {
        switch action {
        case .copy(let id): copy(id)
        case .send(let chunk): send(chunk)
        case .remove(let id):
            files[id] = nil
            let path = path(of: id)
            // Behind the copy, if that is still being written.
            storage.inBackground {
                removeFile(path)
            } then: { _, _ in
            }
        case .report(let peer, let succeeded):
            node.snapshotSent(to: peer, succeeded: succeeded)
        case .resumed(let peer, let offset):
            node.loggers.snapshots.info(
                "snapshot transfer resumed", metadata: ["peer": "\(peer)", "offset": "\(offset)"])
        case .turnMissed(let peer, let other):
            node.gate.late("snapshot_turn")
            node.loggers.snapshots.info(
                "a follower waited too long for its snapshot; it is asked again what it needs",
                metadata: ["peer": "\(peer)", "behind": "\(other.map { "\($0)" } ?? "none")"])
        case .ended(let summary):
            if summary.isTimeout { node.gate.late("snapshot") }
            note(summary)
            node.loggers.snapshots.log(
                level: summary.succeeded ? .info : .warning, "snapshot transfer ended",
                metadata: [
                    "peer": "\(summary.to)", "result": "\(summary.reason)", "bytes": "\(summary.fileBytes)",
                    "sent_bytes": "\(summary.sentBytes)", "duration_ms": "\(summary.milliseconds)",
                ])
        }
    }

    private func note(_ summary: SnapshotSenderMachine.Summary) {
        if summary.succeeded { transfers.succeeded += 1 } else { transfers.failed += 1 }
        transfers.bytes += summary.sentBytes
        transfers.lastMilliseconds = summary.milliseconds
        transfers.isUnderWay = false
        // The machine tries again after a pause, as long as the follower needs it.
        if !summary.succeeded { node.operations.retried(.snapshot) }
    }

    private func copy(_ id: UInt64) {
        transfers.isUnderWay = true
        node.loggers.snapshots.info("copying the state for a snapshot", metadata: ["snapshot": "\(id)"])
        let store = storage.store
        let path = path(of: id)
        storage.inBackground { [upkeep = storage.upkeep] in
            upkeep.around("copy") { () throws(StoreError) in try store.writeSnapshot(to: path) }
        } then: { node, result in
            node.snapshotsOut.copied(result, id: id)
        }
    }

    private func copied(_ result: Result<SnapshotFile, StoreError>, id: UInt64) {
        switch result {
        case .success(let file) where file.configuration != nil:
            files[id] = file
            machine.copied(id, position: file.position, bytes: UInt64(file.bytes), now: Node.milliseconds)
        case .success:
            machine.failed(id, "the state names no members yet", now: Node.milliseconds)
        case .failure(let error):
            machine.failed(id, "\(error)", now: Node.milliseconds)
        }
        perform()
    }

    private func send(_ chunk: SnapshotSenderMachine.Chunk) {
        guard let file = files[chunk.id], let configuration = file.configuration else { return }
        let path = path(of: chunk.id)
        storage.inBackground {
            Result { try readChunk(path: path, offset: chunk.offset, count: chunk.count) }
        } then: { node, result in
            switch result {
            case .success(let bytes):
                let frame = SnapshotChunk(
                    snapshotID: chunk.id, term: chunk.term, position: file.position, configuration: configuration,
                    offset: chunk.offset, totalBytes: UInt64(file.bytes), checksum: checksum(of: bytes), bytes: bytes)
                // When the link is down the chunk is sent again as it comes up.
                _ = node.send(.snapshotChunk(frame), to: chunk.to)
            case .failure(let error):
                node.snapshotsOut.unreadable(chunk.id, "\(error)")
            }
        }
    }

    private func unreadable(_ id: UInt64, _ reason: String) {
        machine.failed(id, reason, now: Node.milliseconds)
        perform()
    }
}

extension SnapshotAnswer {
    fileprivate init(_ state: SnapshotProgress.State) {
        switch state {
        case .received(let offset): self = .received(offset)
        case .installed: self = .installed
        case .failed(let reason): self = .failed(reason)
        }
    }
}

func checksum(of bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { buffer in
        UInt32(truncatingIfNeeded: crc32_z(0, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), buffer.count))
    }
}

private func readChunk(path: String, offset: UInt64, count: Int) throws -> [UInt8] {
    guard count > 0 else { return [] }
    let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { handle.closeFile() }
    try handle.seek(toOffset: offset)
    return [UInt8](try handle.read(upToCount: count) ?? Data())
}

/// Removes a spool file; one that is not there is as good.
func removeFile(_ path: String) {
    unlink(path)
}
