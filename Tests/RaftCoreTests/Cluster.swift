@testable import RaftCore

/// Some members, their disks and state machines, and the network between them, all in memory and without a clock.
///
/// What must hold in any run is checked after every input: the node's own invariants, and those of `Oracle`.
struct Cluster {
    struct Peer {
        /// Nil while it is down.
        var node: RaftNode?
        var disk: Disk
        var machine: Machine
        /// Handed out and not synced yet, oldest first.
        var writes: [Persist] = []
        /// Every write is synced at once.
        var isDiskFast = true
        var starts: UInt64 = 0
    }

    struct Link: Hashable {
        var from: NodeID
        var to: NodeID
    }

    var options: Options
    var peers: [NodeID: Peer] = [:]
    /// Ordered; the source of every loop over members.
    var ids: [NodeID] = []
    /// Sent and not delivered yet.
    var network: [Message] = []
    /// Messages over these links are lost when they would be delivered.
    var cut: Set<Link> = []
    var oracle = Oracle()
    var trace: [String] = []
    var seed: UInt64
    /// Members that want a snapshot, by the leader that said so.
    var snapshotsWanted: [Link] = []
    /// The term in which each of them was wanted: that of the leader which sends it, even if it leads no more.
    var snapshotTerms: [Link: Term] = [:]
    var confirmedReads: [NodeID: [ConfirmedRead]] = [:]
    var droppedReads: [NodeID: [UInt64]] = [:]
    /// Writes that removed entries.
    var truncations = 0

    init(
        voters: [UInt64], learners: [UInt64] = [], outsiders: [UInt64] = [], options: Options = Options(),
        seed: UInt64 = 1
    ) {
        self.options = options
        self.seed = seed
        let configuration = Self.configuration(voters: voters, learners: learners)
        for id in (voters + learners).sorted().map({ NodeID($0) }) { add(id, configuration: configuration) }
        for id in outsiders.map({ NodeID($0) }) { add(id, configuration: .empty) }
        ids.sort()
    }

    static func configuration(
        voters: [UInt64], outgoing: [UInt64] = [], learners: [UInt64] = []
    ) -> Configuration {
        let members = Set(voters + outgoing + learners).sorted().map {
            Member(
                id: NodeID($0), disk: DiskID(high: 0, low: $0), peerAddress: "node\($0):1", clientAddress: "node\($0):2"
            )
        }
        return Configuration(
            members: members, voters: voters.map { NodeID($0) }, outgoing: outgoing.map { NodeID($0) },
            learners: learners.map { NodeID($0) })
    }

    private mutating func add(_ id: NodeID, configuration: Configuration) {
        ids.append(id)
        let disk = Disk(configuration: configuration)
        peers[id] = Peer(disk: disk, machine: Machine(initial: configuration))
        restart(id)
    }

    // Inputs

    /// Feeds one input to a member that is up, then does what its `Ready` says.
    mutating func on<Result>(_ id: NodeID, _ input: (inout RaftNode) -> Result) -> Result? {
        // Moved out while it is changed, or every input would copy its log.
        guard var node = peers[id]?.node else { return nil }
        peers[id]?.node = nil
        let result = input(&node)
        node.checkInvariants()
        peers[id]?.node = node
        work(id)
        return result
    }

    mutating func tick(_ id: NodeID, _ count: Int = 1) {
        for _ in 0..<count { _ = on(id) { $0.tick() } }
    }

    mutating func propose(_ id: NodeID, _ text: String) -> ProposeOutcome? {
        on(id) { $0.propose([Array(text.utf8)]) }
    }

    mutating func read(_ id: NodeID, _ read: UInt64) -> Bool {
        oracle.readStarts(at: id, id: read)
        return on(id) { $0.read(id: read) } ?? false
    }

    /// Delivers what is under way now, but not what is sent because of it.
    mutating func deliver(where matches: (Message) -> Bool = { _ in true }) {
        let now = network
        network = now.filter { !matches($0) }
        for message in now where matches(message) { deliver(message) }
    }

    mutating func deliver(_ message: Message) {
        guard !cut.contains(Link(from: message.from, to: message.to)), peers[message.to]?.node != nil else {
            trace.append("  lost \(message.text)")
            return
        }
        trace.append("  \(message.text)")
        _ = on(message.to) { $0.step(message) }
    }

    /// Delivers until nothing is under way.
    mutating func settle() {
        var rounds = 0
        while !network.isEmpty {
            deliver()
            rounds += 1
            precondition(rounds < 1_000, "the network does not come to rest")
        }
    }

    /// Elects `id`: as if everyone's timeout was about to run out and `id` was first.
    mutating func elect(_ id: NodeID) {
        for other in ids where other != id {
            if let leader = peers[other]?.node?.status.leader, leader != other {
                _ = on(other) { $0.connectionClosed(to: leader, refused: false) }
            }
        }
        _ = on(id) { $0.campaign() }
        settle()
    }

    // Disk

    /// The oldest `count` writes of `id` are synced.
    mutating func sync(_ id: NodeID, count: Int = .max) {
        guard var peer = peers[id], peer.node != nil else { return }
        let done = peer.writes.prefix(count)
        guard let last = done.last else { return }
        for write in done { peer.disk.write(write) }
        peer.writes.removeFirst(done.count)
        peers[id] = peer
        _ = on(id) { $0.persisted(last.sequence) }
    }

    /// Power loss: of the writes under way, the oldest `surviving` happen to be on the disk.
    mutating func crash(_ id: NodeID, surviving: Int = 0) {
        guard var peer = peers[id], peer.node != nil else { return }
        for write in peer.writes.prefix(surviving) { peer.disk.write(write) }
        peer.writes = []
        peer.node = nil
        peers[id] = peer
        oracle.readsLost(at: id)
    }

    /// The log and the state machine of `id`, which is down, are damaged: both begin anew, and it has to recover.
    mutating func loseLog(_ id: NodeID) {
        guard var peer = peers[id], peer.node == nil else { return }
        let known = peer.disk.entries.last { $0.kind == .configuration }.flatMap { RaftNode.decodedConfiguration($0) }
        peer.disk.loseLog(configuration: known ?? peer.disk.configuration)
        peer.machine = Machine(initial: peer.machine.initial)
        peers[id] = peer
    }

    /// Starts `id` from its disk. The state machine may have forgotten what it applied after `durable`.
    mutating func restart(_ id: NodeID, durable: LogIndex? = nil) {
        guard var peer = peers[id], peer.node == nil else { return }
        peer.disk.repair(with: peer.machine)
        peer.machine.forget(after: max(peer.disk.base.index, durable ?? peer.machine.applied))
        peer.starts += 1
        let restored = peer.disk.restored(applied: peer.machine.applied)
        let problem = restored.problem()
        precondition(problem == nil, "\(id) cannot start: \(problem ?? "")")
        peer.node = RaftNode(id: id, options: options, restored: restored, seed: seed &+ peer.starts &* 7_919)
        peers[id] = peer
        work(id)
    }

    // Snapshots

    /// `leader` sends its whole state to `follower`: what the runtime does between `snapshotsWanted` and the report.
    mutating func install(from leader: NodeID, to follower: NodeID) {
        guard let source = peers[leader], let node = source.node, let target = peers[follower]?.node else { return }
        let position = source.machine.position
        let wantedTerm = snapshotTerms[Link(from: leader, to: follower)] ?? node.hardState.term
        // It was made while its sender led; what the sender learned as a follower since is not in it.
        guard position.term <= wantedTerm else { return }
        let message = Message(
            from: leader, to: follower,
            term: wantedTerm,
            kind: .installSnapshot(
                position: position, configuration: source.machine.configuration(at: position.index)))
        if position.index > target.commitIndex { peers[follower]?.machine = source.machine }
        trace.append("  \(message.text)")
        _ = on(follower) { $0.step(message) }
    }

    mutating func report(from leader: NodeID, to follower: NodeID, succeeded: Bool) {
        snapshotsWanted.removeAll { $0 == Link(from: leader, to: follower) }
        _ = on(leader) { $0.snapshotFinished(to: follower, succeeded: succeeded) }
    }

    mutating func compact(_ id: NodeID, to index: LogIndex) {
        guard let machine = peers[id]?.machine else { return }
        peers[id]?.disk.compact(to: index, configuration: machine.configuration(at: index))
        _ = on(id) { $0.compact(to: index) }
    }

    // Effects

    private mutating func work(_ id: NodeID) {
        while var peer = peers[id], var node = peer.node {
            let ready = node.takeReady()
            node.checkInvariants()
            peer.node = node
            if let status = ready.status {
                trace.append("\(id): \(status.text)")
                oracle.observe(status, of: id)
            }
            if let persist = ready.persist {
                peer.writes.append(persist)
                if persist.truncateFrom != nil { truncations += 1 }
                if !peer.isDiskFast { trace.append("\(id): \(persist.text)") }
            }
            network += ready.messages
            peers[id] = peer
            if let committed = ready.committed { apply(committed, at: id) }
            finish(ready, at: id)
            if ready.isEmpty { break }
            if peers[id]?.isDiskFast == true { syncQuietly(id) }
        }
        if let node = peers[id]?.node { oracle.observe(node, of: id) }
    }

    private mutating func syncQuietly(_ id: NodeID) {
        guard var peer = peers[id], let last = peer.writes.last else { return }
        for write in peer.writes { peer.disk.write(write) }
        peer.writes = []
        peer.node?.persisted(last.sequence)
        peer.node?.checkInvariants()
        peers[id] = peer
    }

    private mutating func apply(_ committed: Range<LogIndex>, at id: NodeID) {
        guard let node = peers[id]?.node else { return }
        let entries = node.entries(in: committed)
        for entry in entries {
            peers[id]?.machine.apply(entry)
            oracle.applied(entry, at: id)
        }
        trace.append("\(id): applies \(entries.map(\.text).joined(separator: " "))")
        peers[id]?.node?.applied(to: committed.upperBound.previous)
    }

    private mutating func finish(_ ready: Ready, at id: NodeID) {
        if ready.isRecovered {
            trace.append("\(id): recovered")
            peers[id]?.disk.isRecovering = false
        }
        for read in ready.reads {
            trace.append("\(id): read \(read.id) at \(read.index)")
            oracle.readConfirmed(read, at: id)
            confirmedReads[id, default: []].append(read)
        }
        for read in ready.droppedReads {
            trace.append("\(id): read \(read) dropped")
            droppedReads[id, default: []].append(read)
        }
        for peer in ready.snapshotsWanted {
            trace.append("\(id): wants a snapshot for \(peer)")
            snapshotsWanted.append(Link(from: id, to: peer))
            snapshotTerms[Link(from: id, to: peer)] = peers[id]?.node?.hardState.term
        }
    }

    // Queries

    func node(_ id: NodeID) -> RaftNode {
        guard let node = peers[id]?.node else { preconditionFailure("\(id) is down") }
        return node
    }

    var leaders: [NodeID] { ids.filter { peers[$0]?.node?.status.role == .leader } }
}

extension NodeID: ExpressibleByIntegerLiteral {
    /// Lets tests write numbers.
    public init(integerLiteral value: UInt64) { self.init(value) }
}

extension LogIndex: ExpressibleByIntegerLiteral {
    /// Lets tests write numbers.
    public init(integerLiteral value: UInt64) { self.init(value) }
}

extension Term: ExpressibleByIntegerLiteral {
    /// Lets tests write numbers.
    public init(integerLiteral value: UInt64) { self.init(value) }
}
