import MetadataModel
import RaftCore
import Replica

/// Several replicas with disks that sync at once and links that behave as those of nodes do: nothing passes between two
/// of which one does not let the other in.
final class MembershipHarness {
    struct Place {
        var replica: Replica
        var disk: DiskID
        var isDown = false
    }

    var places: [NodeID: Place] = [:]
    var now: UInt64 = 1_000
    var replies: [UInt64: MembershipReply] = [:]
    /// What `configurationChanged` said, in order.
    var reported: [NodeID: [Configuration]] = [:]
    /// Messages that get lost.
    var loses: (Message) -> Bool = { _ in false }
    private var network: [Message] = []
    private var lastRequest: UInt64 = 0

    /// - Parameter voters: formatted with the same first configuration.
    init(voters: [UInt64]) {
        let first = Configuration(voters: voters.map { Self.member($0) })
        for id in voters { start(NodeID(id), disk: Self.disk(id), entries: Self.entries(first)) }
    }

    static func disk(_ id: UInt64) -> DiskID { DiskID(high: 0, low: id) }

    static func member(_ id: UInt64, disk: UInt64? = nil, at host: String? = nil) -> Member {
        let host = host ?? "node\(id)"
        return Member(id: NodeID(id), disk: Self.disk(disk ?? id), peerAddress: "\(host):1", clientAddress: "\(host):2")
    }

    private static func entries(_ configuration: Configuration) -> [Entry] {
        [Entry(term: Term(1), index: LogIndex(1), kind: .configuration, payload: configuration.encoded())]
    }

    // MARK: Nodes

    /// A node with an empty disk, as `metad format` leaves one that joins.
    func join(_ id: UInt64, disk: UInt64? = nil) {
        start(NodeID(id), disk: Self.disk(disk ?? id), entries: [])
    }

    private func start(_ id: NodeID, disk: DiskID, entries: [Entry]) {
        let replica = Replica(
            id: id, disk: disk, options: ReplicaOptions(),
            restored: RestoredState(
                hardState: HardState(term: entries.last?.term ?? .zero, vote: nil), base: .zero, entries: entries,
                applied: .zero, configuration: .empty),
            image: .empty, now: now, seed: 7 + id.rawValue)
        places[id] = Place(replica: replica, disk: disk)
    }

    /// Starts a node again with what its log holds, all of it synced, and a database that it lost.
    func restart(_ id: UInt64) {
        guard let place = places[NodeID(id)] else { return }
        let core = place.replica.core
        start(NodeID(id), disk: place.disk, entries: core.entries(in: core.base.index.next..<core.lastIndex.next))
    }

    func stop(_ ids: UInt64...) { for id in ids { places[NodeID(id)]?.isDown = true } }
    func wake(_ ids: UInt64...) { for id in ids { places[NodeID(id)]?.isDown = false } }

    // MARK: Requests

    /// Asks `id`; the answer is in `replies` under the number that is returned.
    func change(
        _ change: MembershipChange, at id: NodeID, isForced: Bool = false
    ) -> UInt64 {
        on(id) { $0.changeMembers(change, isForced: isForced, token: $1) }
    }

    func transfer(to target: UInt64?, at id: NodeID) -> UInt64 {
        on(id) { $0.transferLeadership(to: target.map { NodeID($0) }, token: $1) }
    }

    func write(at id: NodeID) {
        let intent = WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: [1])
        _ = on(id) { $0.write(intent, token: $1) }
    }

    private func on(_ id: NodeID, _ input: (inout Replica, RequestToken) -> Void) -> UInt64 {
        lastRequest += 1
        let token = RequestToken(connection: 1, request: lastRequest)
        if var place = places[id], !place.isDown {
            input(&place.replica, token)
            places[id] = place
            turn(id)
        }
        return lastRequest
    }

    func refusal(_ request: UInt64) -> MembershipRefusal.Reason? {
        if case .refused(let refusal) = replies[request] { return refusal.reason }
        return nil
    }

    // MARK: Time

    var leader: NodeID? {
        places.filter { !$0.value.isDown && $0.value.replica.isLeader }
            .max { $0.value.replica.status.term < $1.value.replica.status.term }?.key
    }

    func configuration(_ id: UInt64) -> Configuration { places[NodeID(id)]?.replica.core.configuration ?? .empty }

    /// Ticks everyone, delivering all messages after each tick, until the condition holds or time is up.
    @discardableResult
    func run(milliseconds: UInt64 = 10_000, until isDone: (MembershipHarness) -> Bool) -> Bool {
        let end = now + milliseconds
        while now < end {
            if isDone(self) { return true }
            now += 20
            for id in places.keys.sorted() {
                guard var place = places[id], !place.isDown else { continue }
                place.replica.tick(now: now)
                places[id] = place
                turn(id)
            }
            deliver()
        }
        return isDone(self)
    }

    func elect() -> NodeID? {
        run { state in
            state.leader.map { state.places[$0]?.replica.core.hasCommittedInTerm ?? false } ?? false
        }
        return leader
    }

    /// Delivers until nothing is under way.
    func deliver() {
        while !network.isEmpty {
            let messages = network
            network = []
            // What one has to say to another goes in one frame.
            var frames: [(from: NodeID, to: NodeID, messages: [Message])] = []
            for message in messages where !loses(message) {
                let known = frames.firstIndex { $0.from == message.from && $0.to == message.to }
                if let known {
                    frames[known].messages.append(message)
                } else {
                    frames.append((message.from, message.to, [message]))
                }
            }
            for frame in frames { deliver(frame.messages, from: frame.from, to: frame.to) }
        }
    }

    private func deliver(_ messages: [Message], from: NodeID, to: NodeID) {
        guard let sender = places[from], var receiver = places[to], !sender.isDown, !receiver.isDown,
            isLetIn(admission(of: receiver, at: sender))
        else { return }
        receiver.replica.receive(messages, as: admission(of: sender, at: receiver), now: now)
        places[to] = receiver
        turn(to)
    }

    func admission(of peer: Place, at place: Place) -> PeerAdmission {
        let core = peer.replica.core
        return place.replica.admission(
            of: peer.replica.id, disk: peer.disk,
            configurationIndex: core.configuration.voters.isEmpty ? .zero : core.configurationIndex)
    }

    private func isLetIn(_ admission: PeerAdmission) -> Bool { admission == .member || admission == .newcomer }

    // MARK: Effects

    private func turn(_ id: NodeID) {
        guard var place = places[id] else { return }
        var hasWork = true
        while hasWork {
            hasWork = false
            for effect in place.replica.takeEffects() {
                hasWork = true
                switch effect {
                case .persist(let persist): place.replica.persisted(persist.sequence)
                case .apply(let entries): place.replica.applied(report(entries))
                case .send(let messages): network += messages
                case .replyMembership(let token, let reply): replies[token.request] = reply
                case .configurationChanged(let configuration):
                    if reported[id]?.last != configuration { reported[id, default: []].append(configuration) }
                default: break
                }
            }
            place.replica.checkInvariants()
        }
        places[id] = place
    }

    private func report(_ entries: [Entry]) -> AppliedReport {
        let last = entries.last?.position ?? .zero
        return AppliedReport(
            applied: last, version: Version(last.index.rawValue), logTimeMilliseconds: 0,
            outcomes: entries.filter { $0.kind == .command }.map {
                .init(index: $0.index, outcome: .done(.changed(Version($0.index.rawValue))))
            }, brokers: [], removedBrokers: [])
    }
}

extension NodeID: ExpressibleByIntegerLiteral {
    /// Lets tests write numbers.
    public init(integerLiteral value: UInt64) { self.init(value) }
}
