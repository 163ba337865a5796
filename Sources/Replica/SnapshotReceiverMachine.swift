package import RaftCore

/// How a member takes in a snapshot, chunk by chunk, into a file. Events in, actions out; whoever runs it owns file and
/// connection, and does the actions in their order.
///
/// Nothing is believed before the whole file was verified, and nothing is replaced before the replica says so. One at a time:
/// a later leader's transfer, or the leader's next, takes the place of one that is still arriving; one that is complete is
/// brought to its end first. A broken connection loses nothing: the file stays, and the answer to the next chunk says where
/// to go on. A restart of this process does lose it: what was written was not synced, so it is not trusted, and the sender is
/// told to begin at the start of its file.
package struct SnapshotReceiverMachine: Sendable {
    /// A chunk without its bytes.
    package struct Chunk: Hashable, Sendable {
        package var snapshot: IncomingSnapshot
        package var totalBytes: UInt64
        package var offset: UInt64
        package var count: Int
        /// Whether its bytes are those that were sent.
        package var isIntact: Bool

        package init(snapshot: IncomingSnapshot, totalBytes: UInt64, offset: UInt64, count: Int, isIntact: Bool) {
            self.snapshot = snapshot
            self.totalBytes = totalBytes
            self.offset = offset
            self.count = count
            self.isIntact = isIntact
        }
    }

    package enum Action: Hashable, Sendable {
        /// Write the bytes of the chunk that has just arrived, at its offset; reported with `wrote`. At offset 0 the file is new.
        case write
        /// Check the whole file; reported with `verified` or `failed`.
        case verify(IncomingSnapshot)
        /// For `Replica.snapshotReceived(_:)`; it ends with `installed` or `failed`.
        case offer(IncomingSnapshot)
        case remove(UInt64)
        case answer(to: NodeID, id: UInt64, SnapshotAnswer)
    }

    private enum State {
        /// Exits: `writing` by the first chunk of a snapshot.
        case idle
        /// Exits: `writing` by the chunk at `offset`; `idle` by another transfer, or when nothing comes for too long.
        case expecting(Incoming, offset: UInt64)
        /// A chunk is being written. Exits: `expecting`; `verifying` after the last; `idle` by `failed`.
        case writing(Incoming, end: UInt64)
        /// Exits: `installing` by `verified`; `idle` by `failed`.
        case verifying(Incoming)
        /// The replica has it. Exits: `idle` by `installed` or `failed`.
        case installing(Incoming)
    }

    private struct Incoming {
        var snapshot: IncomingSnapshot
        var totalBytes: UInt64
        var lastChunk: UInt64
    }

    /// A larger file is taken for a mistake, before anything is written.
    package static let fileBytesMax: UInt64 = 1 << 40

    private let timeoutMilliseconds: UInt64
    private var state = State.idle
    private var actions: [Action] = []

    /// - Parameter timeoutMilliseconds: a transfer of which nothing was heard for this long is forgotten.
    package init(timeoutMilliseconds: UInt64) { self.timeoutMilliseconds = timeoutMilliseconds }

    /// What is to be done, in order.
    package mutating func takeActions() -> [Action] {
        defer { actions.removeAll(keepingCapacity: true) }
        return actions
    }

    /// - Parameters:
    ///   - term: of this member.
    ///   - applied: what its state machine has applied.
    package mutating func arrived(_ chunk: Chunk, term: Term, applied: LogIndex, now: UInt64) {
        let snapshot = chunk.snapshot
        guard snapshot.term >= term else { return refuse(chunk, "term \(snapshot.term) has passed") }
        switch state {
        case .idle:
            begin(chunk, applied: applied, now: now)
        case .expecting(let incoming, let offset):
            if incoming.snapshot.id != snapshot.id {
                guard snapshot.term >= incoming.snapshot.term else {
                    return refuse(chunk, "a snapshot of term \(incoming.snapshot.term) is arriving")
                }
                forget(incoming)
                begin(chunk, applied: applied, now: now)
            } else if incoming.snapshot != snapshot || incoming.totalBytes != chunk.totalBytes {
                forget(incoming)
                refuse(chunk, "its chunks are of different snapshots")
            } else if chunk.offset == offset, chunk.isIntact, chunk.count > 0 {
                write(chunk, now: now)
            } else {
                actions.append(.answer(to: snapshot.from, id: snapshot.id, .received(offset)))
            }
        case .writing(let incoming, _):
            // What this chunk says will be said when the write has ended.
            if incoming.snapshot.id != snapshot.id { refuse(chunk, "another snapshot is being taken in") }
        case .verifying(let incoming), .installing(let incoming):
            if incoming.snapshot.id != snapshot.id {
                refuse(chunk, "another snapshot is being taken in")
            } else {
                actions.append(.answer(to: snapshot.from, id: snapshot.id, .received(incoming.totalBytes)))
            }
        }
    }

    package mutating func wrote(_ id: UInt64) {
        guard case .writing(let incoming, let end) = state, incoming.snapshot.id == id else { return }
        if end < incoming.totalBytes {
            state = .expecting(incoming, offset: end)
        } else {
            state = .verifying(incoming)
            actions.append(.verify(incoming.snapshot))
        }
        actions.append(.answer(to: incoming.snapshot.from, id: id, .received(end)))
    }

    /// The file is whole, and is of this position and these members.
    package mutating func verified(
        _ id: UInt64, position: LogPosition, configuration: Configuration?, applied: LogIndex
    ) {
        guard case .verifying(let incoming) = state, incoming.snapshot.id == id else { return }
        let announced = incoming.snapshot
        if position != announced.position {
            failed(id, "the file is of \(position), announced was \(announced.position)")
        } else if configuration != announced.configuration {
            failed(id, "the file names other members than its announcement")
        } else if position.index <= applied {
            // The log was quicker.
            finish(incoming, .installed)
        } else {
            state = .installing(incoming)
            actions.append(.offer(announced))
        }
    }

    package mutating func installed(_ id: UInt64) {
        guard case .installing(let incoming) = state, incoming.snapshot.id == id else { return }
        finish(incoming, .installed)
    }

    /// Writing, verifying or installing did not go well, or the replica does not need it any more.
    package mutating func failed(_ id: UInt64, _ reason: String) {
        switch state {
        case .writing(let incoming, _), .verifying(let incoming), .installing(let incoming):
            if incoming.snapshot.id == id { finish(incoming, .failed(reason)) }
        case .idle, .expecting: break
        }
    }

    package mutating func tick(now: UInt64) {
        guard case .expecting(let incoming, _) = state, now >= incoming.lastChunk + timeoutMilliseconds else { return }
        forget(incoming)
    }

    // MARK: Helpers

    private mutating func begin(_ chunk: Chunk, applied: LogIndex, now: UInt64) {
        let snapshot = chunk.snapshot
        let answer: SnapshotAnswer
        if snapshot.position.index <= applied {
            answer = .installed
        } else if snapshot.position.term > snapshot.term {
            answer = .failed("it is of a later term than its sender")
        } else if chunk.totalBytes > Self.fileBytesMax {
            answer = .failed("it has \(chunk.totalBytes) bytes, at most \(Self.fileBytesMax) are taken")
        } else if chunk.offset > 0 || chunk.count == 0 || !chunk.isIntact {
            answer = .received(0)
        } else {
            return write(chunk, now: now)
        }
        actions.append(.answer(to: snapshot.from, id: snapshot.id, answer))
    }

    private mutating func write(_ chunk: Chunk, now: UInt64) {
        let incoming = Incoming(snapshot: chunk.snapshot, totalBytes: chunk.totalBytes, lastChunk: now)
        state = .writing(incoming, end: chunk.offset + UInt64(chunk.count))
        actions.append(.write)
    }

    private mutating func refuse(_ chunk: Chunk, _ reason: String) {
        actions.append(.answer(to: chunk.snapshot.from, id: chunk.snapshot.id, .failed(reason)))
    }

    private mutating func forget(_ incoming: Incoming) {
        state = .idle
        actions.append(.remove(incoming.snapshot.id))
    }

    private mutating func finish(_ incoming: Incoming, _ answer: SnapshotAnswer) {
        forget(incoming)
        actions.append(.answer(to: incoming.snapshot.from, id: incoming.snapshot.id, answer))
    }
}
