package import RaftCore
package import Resilience

/// How a leader sends snapshots to followers that need entries which it has cut from its log: what is copied when, which
/// chunk leaves next, when to try again and when to give up. Events in, actions out; whoever runs it owns files and
/// connections, and does the actions in their order.
///
/// One transfer at a time; a second follower waits for its turn, and when that takes too long the replica hears of it: the log
/// may suffice by then. A copy is spooled to a file first, so that a slow receiver holds no
/// transaction open. The next chunk leaves when the receiver has the last, within the bandwidth; a broken connection, or a
/// receiver that began anew, goes on where the receiver says that it stands, from the same file. A transfer ends when it is
/// done, makes no progress for too long, or its leader is deposed.
package struct SnapshotSenderMachine: Sendable {
    package struct Options: Hashable, Sendable {
        package var chunkBytes: Int
        /// What all transfers of this member may take together.
        package var bytesPerSecond: Int
        /// A transfer that made no progress for this long ends.
        package var timeoutMilliseconds: UInt64
        /// How long a follower waits for its turn.
        package var turnMilliseconds: UInt64
        /// A chunk that nothing was heard of for this long leaves again.
        package var resendMilliseconds: UInt64 = 2_000
        /// A chunk that the receiver asks for although it was sent leaves again, but not sooner than this: the question may
        /// have crossed the chunk, and answering each would double them for ever.
        package var repeatMilliseconds: UInt64 = 100
        /// After a failure its follower waits for twice this, after each further one twice as long as before.
        package var pauseMilliseconds: UInt64 = 250
        package var pauseMillisecondsMax: UInt64 = 30_000

        package init(
            chunkBytes: Int = 256 << 10, bytesPerSecond: Int = 64 << 20, timeoutMilliseconds: UInt64 = 60_000,
            turnMilliseconds: UInt64 = 30_000
        ) {
            self.chunkBytes = chunkBytes
            self.bytesPerSecond = bytesPerSecond
            self.timeoutMilliseconds = timeoutMilliseconds
            self.turnMilliseconds = turnMilliseconds
        }
    }

    /// What whoever runs the machine has to do.
    package enum Action: Hashable, Sendable {
        /// Copy the state machine to the file of this transfer; reported with `copied` or `failed`.
        case copy(UInt64)
        /// Read these bytes of the file and send them; a chunk that cannot be sent now may be dropped.
        case send(Chunk)
        /// The file of the transfer is not needed any more.
        case remove(UInt64)
        /// For `Replica.snapshotSent(to:succeeded:)`.
        case report(NodeID, succeeded: Bool)
        /// The transfer goes on at this offset after the connection was gone.
        case resumed(to: NodeID, offset: UInt64)
        /// The follower waited for its turn for as long as it may, while another was served.
        case turnMissed(NodeID, behind: NodeID?)
        /// For the log.
        case ended(Summary)
    }

    package struct Chunk: Hashable, Sendable {
        package var id: UInt64
        package var to: NodeID
        package var term: Term
        package var offset: UInt64
        /// Zero asks only how the receiver is getting on.
        package var count: Int
    }

    package struct Summary: Hashable, Sendable {
        package var to: NodeID
        package var succeeded: Bool
        /// It made no progress for as long as it may.
        package var isTimeout = false
        package var reason: String
        package var fileBytes: UInt64
        /// More than the file has when something was sent again.
        package var sentBytes: UInt64
        package var milliseconds: UInt64
    }

    private enum State {
        /// Exits: `copying` when a follower waits.
        case idle
        /// Exits: `sending` by `copied`; `idle` by `failed`, a deposition, the timeout.
        case copying(Transfer)
        /// Exits: `idle` by the receiver's last word, `failed`, a deposition, the timeout.
        case sending(Transfer, Outgoing)
    }

    private struct Transfer {
        var id: UInt64
        var to: NodeID
        var term: Term
        var started: UInt64
    }

    private struct Outgoing {
        var bytes: UInt64
        /// The receiver has everything before.
        var acknowledged: UInt64 = 0
        /// When the chunk at `acknowledged` leaves again; nil while it has not left.
        var resendAt: UInt64?
        var sentAt: UInt64 = 0
        var sentBytes: UInt64 = 0
    }

    private let options: Options
    private var state = State.idle
    /// Under one name: who is served, and who comes next. A holder is alive while its transfer makes progress.
    private var turns: KeyedLock<NodeID>
    private static let turn = "snapshot"
    /// Followers whose transfer failed, until it is reported.
    private var resting: [(peer: NodeID, until: UInt64)] = []
    /// Failures in a row.
    private var failures: [NodeID: Int] = [:]
    private var leading: Term?
    private var lastID: UInt64
    /// Bytes that may leave now; negative after a chunk that was larger.
    private var credit: Int
    private var creditAt: UInt64
    private var actions: [Action] = []

    /// - Parameter firstID: ids of another run of this member, or of another member, must not be taken for this one's: random.
    package init(options: Options, firstID: UInt64, now: UInt64) {
        precondition(options.chunkBytes > 0 && options.bytesPerSecond > 0, "chunks or bandwidth of nothing: \(options)")
        self.options = options
        turns = KeyedLock(
            KeyedLockOptions(acquisitionTimeout: options.turnMilliseconds, staleAfter: options.timeoutMilliseconds))
        lastID = firstID
        credit = options.chunkBytes
        creditAt = now
    }

    // MARK: Queries

    /// When `tick` has something to do, unless something else happens first.
    package var wakeAt: UInt64? {
        let rest = resting.map(\.until).min()
        var transfer: UInt64?
        if case .sending(_, let outgoing) = state {
            transfer = max(outgoing.resendAt ?? creditAt, credit > 0 ? 0 : creditAt + millisecondsToCredit)
        }
        return [rest, transfer, turns.wakeAt].compactMap(\.self).min()
    }

    package var turnReading: KeyedLockReading { turns.reading(of: Self.turn) }

    package func checkInvariants() {
        precondition(credit <= options.chunkBytes, "saved up \(credit) bytes")
        turns.checkInvariants()
        let peers = waiting + resting.map(\.peer) + [active?.to].compactMap(\.self)
        precondition(turns.holder(of: Self.turn) == active?.to, "another has the turn than is served")
        if case .sending(_, let outgoing) = state {
            precondition(outgoing.acknowledged <= outgoing.bytes, "\(outgoing.acknowledged) of \(outgoing.bytes) bytes")
        }
        precondition(Set(peers).count == peers.count, "a follower is served twice: \(peers)")
        precondition(leading != nil || peers.isEmpty, "\(peers) are served by a member that does not lead")
    }

    /// What is to be done, in order.
    package mutating func takeActions() -> [Action] {
        defer { actions.removeAll(keepingCapacity: true) }
        return actions
    }

    // MARK: The replica

    /// This member leads `term`, or does not lead. Followers of an earlier term's leader are not this one's.
    package mutating func leads(_ term: Term?, now: UInt64) {
        guard term != leading else { return }
        leading = term
        dropWaiting(waiting, now: now)
        resting.removeAll()
        failures.removeAll()
        guard let transfer = active else { return }
        close(transfer, outgoing, succeeded: false, "no longer the leader", now: now)
        _ = turns.release(Self.turn, by: transfer.to, now: now)
    }

    /// `Effect.sendSnapshot`.
    package mutating func wanted(by peer: NodeID, now: UInt64) {
        precondition(leading != nil, "a member that does not lead is to send a snapshot to \(peer)")
        let isServed = waiting.contains(peer) || resting.contains { $0.peer == peer } || active?.to == peer
        guard !isServed else { return }
        if turns.acquire(Self.turn, by: peer, now: now) { start(peer, now: now) }
    }

    /// The state must not be sent any more: what is under way ends, and whoever waits is reported as failed.
    package mutating func endAll(_ reason: String, now: UInt64) {
        let others = waiting
        dropWaiting(others, now: now)
        if let transfer = active { end(transfer, outgoing, succeeded: false, reason, now: now) }
        for peer in others { resting.append((peer, now + options.pauseMilliseconds)) }
    }

    // MARK: The file

    package mutating func copied(_ id: UInt64, position: LogPosition, bytes: UInt64, now: UInt64) {
        guard case .copying(let transfer) = state, transfer.id == id else { return }
        turns.renew(Self.turn, by: transfer.to, now: now)
        guard position.term <= transfer.term else {
            // Deposed while the copy was made: it holds what this leader never proposed.
            return end(transfer, nil, succeeded: false, "no longer the leader of term \(transfer.term)", now: now)
        }
        state = .sending(transfer, Outgoing(bytes: bytes))
        pump(now: now)
    }

    /// The copy could not be written or read.
    package mutating func failed(_ id: UInt64, _ reason: String, now: UInt64) {
        guard let transfer = active, transfer.id == id else { return }
        end(transfer, outgoing, succeeded: false, reason, now: now)
    }

    // MARK: The receiver

    package mutating func answered(_ answer: SnapshotAnswer, id: UInt64, from peer: NodeID, now: UInt64) {
        guard case .sending(let transfer, var outgoing) = state, transfer.id == id, transfer.to == peer else { return }
        switch answer {
        case .received(let offset):
            guard offset <= outgoing.bytes else { return }
            if offset == outgoing.acknowledged {
                // It asks for what has left already: it was damaged on the way, or the question crossed it.
                if let resendAt = outgoing.resendAt {
                    outgoing.resendAt = min(resendAt, outgoing.sentAt + options.repeatMilliseconds)
                }
            } else {
                // Back, when the receiver has begun anew.
                if offset > outgoing.acknowledged { turns.renew(Self.turn, by: peer, now: now) }
                outgoing.acknowledged = offset
                outgoing.resendAt = nil
            }
            state = .sending(transfer, outgoing)
            pump(now: now)
        case .installed:
            end(transfer, outgoing, succeeded: true, "installed", now: now)
        case .failed(let reason):
            end(transfer, outgoing, succeeded: false, reason, now: now)
        }
    }

    /// There is a connection to the peer again; what was under way is lost.
    package mutating func connected(to peer: NodeID, now: UInt64) {
        guard case .sending(let transfer, var outgoing) = state, transfer.to == peer else { return }
        actions.append(.resumed(to: peer, offset: outgoing.acknowledged))
        outgoing.resendAt = nil
        state = .sending(transfer, outgoing)
        pump(now: now)
    }

    // MARK: Time

    /// - Parameter members: to nobody else is anything sent.
    package mutating func tick(now: UInt64, members: [NodeID]) {
        dropWaiting(waiting.filter { !members.contains($0) }, now: now)
        for (peer, until) in resting where until <= now && members.contains(peer) {
            actions.append(.report(peer, succeeded: false))
        }
        resting.removeAll { $0.until <= now || !members.contains($0.peer) }
        if let transfer = active, !members.contains(transfer.to) {
            close(transfer, outgoing, succeeded: false, "it is no member any more", now: now)
            startNext(after: transfer.to, now: now)
        }
        for event in turns.expire(now: now) {
            switch event {
            case .timedOut(_, let peer):
                actions += [.turnMissed(peer, behind: active?.to), .report(peer, succeeded: false)]
            case .stale:
                guard let transfer = active else { continue }
                end(
                    transfer, outgoing, succeeded: false, isTimeout: true,
                    "no progress for \(options.timeoutMilliseconds) ms", now: now)
            case .granted(_, let peer):
                start(peer, now: now)
            }
        }
        pump(now: now)
    }

    // MARK: Helpers

    private var active: Transfer? {
        switch state {
        case .idle: nil
        case .copying(let transfer), .sending(let transfer, _): transfer
        }
    }

    private var outgoing: Outgoing? {
        switch state {
        case .idle, .copying: nil
        case .sending(_, let outgoing): outgoing
        }
    }

    private var waiting: [NodeID] { turns.waiting(for: Self.turn) }

    private mutating func dropWaiting(_ peers: [NodeID], now: UInt64) {
        for peer in peers { _ = turns.release(Self.turn, by: peer, now: now) }
    }

    private mutating func startNext(after peer: NodeID, now: UInt64) {
        if let next = turns.release(Self.turn, by: peer, now: now) { start(next, now: now) }
    }

    /// Whose turn it is.
    private mutating func start(_ peer: NodeID, now: UInt64) {
        guard let term = leading else { return }
        lastID += 1
        state = .copying(Transfer(id: lastID, to: peer, term: term, started: now))
        actions.append(.copy(lastID))
    }

    /// Sends the chunk whose turn it is, if its time has come and there is bandwidth for it.
    private mutating func pump(now: UInt64) {
        refill(now: now)
        guard case .sending(let transfer, var outgoing) = state, credit > 0, outgoing.resendAt ?? 0 <= now else {
            return
        }
        let count = Int(min(UInt64(options.chunkBytes), outgoing.bytes - outgoing.acknowledged))
        credit -= count
        outgoing.sentAt = now
        outgoing.resendAt = now + options.resendMilliseconds
        outgoing.sentBytes += UInt64(count)
        state = .sending(transfer, outgoing)
        actions.append(
            .send(
                Chunk(
                    id: transfer.id, to: transfer.to, term: transfer.term, offset: outgoing.acknowledged, count: count))
        )
    }

    private mutating func refill(now: UInt64) {
        guard now > creditAt else { return }
        let earned = Double(now - creditAt) * Double(options.bytesPerSecond) / 1_000
        guard earned >= 1 else { return }
        creditAt = now
        credit = earned >= Double(options.chunkBytes - credit) ? options.chunkBytes : credit + Int(earned)
    }

    private var millisecondsToCredit: UInt64 {
        guard credit <= 0 else { return 0 }
        return UInt64((Double(1 - credit) * 1_000 / Double(options.bytesPerSecond)).rounded(.up))
    }

    /// Ends the transfer and goes on with the next; after a failure its follower has to wait before the replica hears of it,
    /// since a copy costs much.
    private mutating func end(
        _ transfer: Transfer, _ outgoing: Outgoing?, succeeded: Bool, isTimeout: Bool = false, _ reason: String,
        now: UInt64
    ) {
        close(transfer, outgoing, succeeded: succeeded, isTimeout: isTimeout, reason, now: now)
        if succeeded {
            failures[transfer.to] = nil
            actions.append(.report(transfer.to, succeeded: true))
        } else {
            let count = (failures[transfer.to] ?? 0) + 1
            failures[transfer.to] = count
            let pause = min(options.pauseMillisecondsMax, options.pauseMilliseconds << UInt64(min(count, 10)))
            resting.append((transfer.to, now + pause))
        }
        startNext(after: transfer.to, now: now)
    }

    private mutating func close(
        _ transfer: Transfer, _ outgoing: Outgoing?, succeeded: Bool, isTimeout: Bool = false, _ reason: String,
        now: UInt64
    ) {
        state = .idle
        actions.append(.remove(transfer.id))
        actions.append(
            .ended(
                Summary(
                    to: transfer.to, succeeded: succeeded, isTimeout: isTimeout, reason: reason,
                    fileBytes: outgoing?.bytes ?? 0,
                    sentBytes: outgoing?.sentBytes ?? 0, milliseconds: now - transfer.started)))
    }
}

/// What the receiver of a snapshot says to its sender.
package enum SnapshotAnswer: Hashable, Sendable {
    /// Everything before `offset` is there; the chunk at `offset` is next.
    case received(UInt64)
    /// The receiver is at the snapshot's position or beyond.
    case installed
    /// The receiver gave up; the reason is for the log.
    case failed(String)
}
