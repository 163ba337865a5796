import MetadataModel
import MetadataSchema
import RaftCore
import Replica

/// Some replicas with disks, state machines and the network between them, all in memory, moved by hand.
///
/// Checked after every input: the replica's own invariants, one leader in a term (Raft §5.2), and that two members which have
/// applied the same entries have the same state.
struct StoryCluster {
    static let tickMilliseconds: UInt64 = 20

    struct Link: Hashable {
        var from: NodeID
        var to: NodeID
    }

    let options: ReplicaOptions
    private(set) var members: [NodeID: StoryMember] = [:]
    /// Ordered; the source of every loop over members.
    private(set) var ids: [NodeID] = []
    /// Sent and not delivered yet.
    var network: [Message] = []
    /// What is sent over these links is lost when it would be delivered.
    var cut: Set<Link> = []
    private(set) var now: UInt64 = 1_000
    var trace: [String] = []

    private let seed: UInt64
    private let initial: Configuration
    /// What requests are called in the story, and which key a read wants to see.
    private var requests: [RequestToken: (label: String, key: String?)] = [:]
    private var leaders: [Term: NodeID] = [:]
    private var digests: [LogIndex: UInt64] = [:]

    init(voters: [UInt64], learners: [UInt64], areDisksKnown: Bool, options: ReplicaOptions, seed: UInt64) {
        self.options = options
        self.seed = seed
        let all = (voters + learners).sorted()
        initial = Configuration(
            members: all.map {
                Member(
                    id: NodeID($0), disk: areDisksKnown ? Self.disk(NodeID($0)) : .unknown, peerAddress: "node\($0):1",
                    clientAddress: "node\($0):2")
            }, voters: voters.map { NodeID($0) }, learners: learners.map { NodeID($0) })
        guard !all.isEmpty else { return }
        let first = Entry(term: Term(1), index: LogIndex(1), kind: .configuration, payload: initial.encoded())
        for id in all.map({ NodeID($0) }) {
            ids.append(id)
            members[id] = StoryMember(id: id, disk: LogDisk(formattedWith: first))
            start(id)
        }
    }

    static func disk(_ id: NodeID) -> DiskID { DiskID(high: 0, low: id.rawValue) }

    // Inputs

    /// Feeds one turn of inputs to a member that is up, then does what its effects say.
    mutating func on(_ id: NodeID, _ inputs: (inout Replica) -> Void) {
        guard var replica = members[id]?.replica else { return trace.append("\(id): is down") }
        // Moved out while it is changed, or every input would copy its log.
        members[id]?.replica = nil
        inputs(&replica)
        let effects = replica.takeEffects()
        replica.checkInvariants()
        members[id]?.replica = replica
        for effect in effects { perform(effect, at: id) }
        catchUp(id)
    }

    /// One tick of the members' timers; time goes on by as much.
    mutating func tick(_ some: [NodeID]) {
        now += Self.tickMilliseconds
        for id in some where members[id]?.replica != nil { on(id) { [now] in $0.tick(now: now) } }
    }

    /// Time in which nobody ticks: all of them were stopped, or the story is in a hurry.
    mutating func pass(milliseconds: UInt64) { now += milliseconds }

    /// Delivers what is under way now, but not what is sent because of it.
    mutating func deliver(where matches: (Message) -> Bool = { _ in true }) {
        let sent = network
        network = sent.filter { !matches($0) }
        for message in sent where matches(message) {
            let isLost = cut.contains(Link(from: message.from, to: message.to))
            guard !isLost, members[message.to]?.replica != nil else { continue }
            on(message.to) { [now] in $0.receive([message], now: now) }
        }
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

    /// Lets `id` win: the others have lost their links to the leader, and only its timers tick.
    mutating func elect(_ id: NodeID) {
        for other in ids where other != id {
            guard let replica = members[other]?.replica, let leader = replica.status.leader, leader != other else {
                continue
            }
            on(other) { $0.connectionClosed(to: leader, refused: false) }
        }
        var ticks = 0
        while members[id]?.replica?.isLeader != true, ticks < 100 {
            tick([id])
            if members[id]?.replica?.status.role != .follower { settle() }
            ticks += 1
        }
        settle()
    }

    mutating func request(_ label: String, key: String? = nil) -> RequestToken {
        let token = RequestToken(connection: 1, request: UInt64(requests.count + 1))
        requests[token] = (label, key)
        return token
    }

    // Disk and state machine

    /// The oldest `count` writes of `id` are synced.
    mutating func sync(_ id: NodeID, count: Int) {
        guard var member = members[id], member.replica != nil else { return }
        let done = member.writes.prefix(count)
        guard let last = done.last else { return }
        // A log is only ever reset behind a snapshot, which is in the database by then.
        for write in done { member.disk.write(write, resetTo: member.database.configuration) }
        member.writes.removeFirst(done.count)
        members[id] = member
        on(id) { $0.persisted(last.sequence) }
    }

    /// The state machine does what it was given.
    mutating func work(_ id: NodeID) {
        guard let work = members[id]?.work else { return }
        members[id]?.work = nil
        switch work {
        case .apply(let entries):
            guard let report = members[id]?.database.apply(entries) else { return }
            compare(id)
            on(id) { $0.applied(report) }
        case .install(let snapshot):
            guard let copy = members[id]?.snapshots.removeValue(forKey: snapshot.id) else {
                preconditionFailure("snapshot \(snapshot.id) is not on the disk of \(id)")
            }
            // Durable at once, before the log knows: a crash from here on finds the database ahead.
            members[id]?.database = copy
            members[id]?.checkpoint = copy
            compare(id)
            on(id) { $0.snapshotInstalled(copy.image) }
        }
    }

    /// The state machine cannot install what it was given.
    mutating func failInstall(_ id: NodeID) {
        guard case .install(let snapshot) = members[id]?.work else { return }
        members[id]?.work = nil
        members[id]?.snapshots[snapshot.id] = nil
        on(id) { $0.snapshotInstallFailed() }
    }

    mutating func finishCheckpoint(_ id: NodeID) {
        guard let member = members[id], member.isCheckpointing else { return }
        let durable = member.database
        members[id]?.isCheckpointing = false
        members[id]?.checkpoint = durable
        on(id) { $0.checkpointed(durable.applied) }
    }

    mutating func setDisk(_ id: NodeID, isFast: Bool) {
        members[id]?.isDiskFast = isFast
        if isFast { catchUp(id) }
    }

    mutating func setApply(_ id: NodeID, isFast: Bool) {
        members[id]?.isApplyFast = isFast
        if isFast { catchUp(id) }
    }

    private mutating func catchUp(_ id: NodeID) {
        while let member = members[id], member.replica != nil {
            if member.isDiskFast, !member.writes.isEmpty {
                sync(id, count: .max)
            } else if member.isApplyFast, member.work != nil {
                work(id)
            } else {
                return
            }
        }
    }

    /// The same entries give the same state (pitfall: time, chance or order in an apply).
    private mutating func compare(_ id: NodeID) {
        guard let database = members[id]?.database else { return }
        let (index, digest) = (database.applied.index, database.machine.digest)
        let known = digests[index]
        precondition(known == nil || known == digest, "\(id) has another state at \(index) than others")
        digests[index] = digest
    }

    // Snapshots

    /// The copy that `leader` made for `follower` has arrived there and was verified.
    mutating func arrive(from leader: NodeID, to follower: NodeID) {
        guard let copy = members[leader]?.copies[follower], var member = members[follower], member.replica != nil else {
            return trace.append("nothing arrives")
        }
        let number = UInt64(requests.count + digests.count + member.snapshots.count + 1)
        member.snapshots[number] = copy.database
        members[follower] = member
        on(follower) {
            $0.snapshotReceived(
                IncomingSnapshot(
                    id: number, from: leader, term: copy.term, position: copy.database.applied,
                    configuration: copy.database.configuration))
        }
    }

    mutating func report(from leader: NodeID, to follower: NodeID, succeeded: Bool) {
        members[leader]?.copies[follower] = nil
        on(leader) { $0.snapshotSent(to: follower, succeeded: succeeded) }
    }

    // Processes

    /// The process is gone. A power loss takes what was not synced and what no checkpoint has made durable.
    mutating func stop(_ id: NodeID, withPower: Bool) {
        members[id]?.replica = nil
        members[id]?.writes = []
        members[id]?.work = nil
        members[id]?.isCheckpointing = false
        members[id]?.snapshots = [:]
        members[id]?.copies = [:]
        if withPower, let checkpoint = members[id]?.checkpoint { members[id]?.database = checkpoint }
    }

    /// As `metad` starts: log and database are read back and compared.
    mutating func start(_ id: NodeID) {
        guard var member = members[id], member.replica == nil else { return }
        let applied = member.database.applied
        let fit = LogFit(base: member.disk.base, entries: member.disk.entries, applied: applied)
        switch fit {
        case .fits: break
        case .mustBeginAnew:
            trace.append("\(id): begins its log anew after \(applied)")
            member.disk.reset(to: applied, configuration: member.database.configuration)
        case .entriesAreMissing:
            trace.append("\(id): does not start, the log begins after \(applied)")
            return
        }
        let restored = RestoredState(
            hardState: member.disk.hardState, base: member.disk.base, entries: member.disk.entries,
            applied: applied.index, configuration: member.disk.configuration)
        if let problem = restored.problem() {
            trace.append("\(id): does not start, \(problem)")
            return
        }
        member.starts += 1
        member.replica = Replica(
            id: id, disk: Self.disk(id), options: options, restored: restored, image: member.database.image, now: now,
            seed: seed &+ id.rawValue &* 101 &+ member.starts &* 7_919)
        members[id] = member
        on(id) { [initial] replica in
            for other in initial.members where other.id != id {
                replica.introduced(other.id, disk: Self.disk(other.id))
            }
        }
    }

    // Effects

    private mutating func perform(_ effect: Effect, at id: NodeID) {
        switch effect {
        case .persist(let persist):
            members[id]?.writes.append(persist)
            if members[id]?.isDiskFast == false { say(id, "writes \(persist.text)") }
        case .send(let messages): network += messages
        case .apply(let entries):
            precondition(members[id]?.work == nil, "\(id) was given two things to apply")
            members[id]?.work = .apply(entries)
            say(id, "applies \(entries.map(\.text).joined(separator: " "))")
        case .replyWrite(let token, let reply): say(id, "\(label(token)) \(reply.text)")
        case .serveReads(let tokens): for token in tokens { say(id, "\(label(token)) sees \(seen(token, at: id))") }
        case .refuseReads(let tokens, let reason):
            for token in tokens { say(id, "\(label(token)) refused, \(reason.text)") }
        case .replyHeartbeat(let token, let reply): say(id, "\(label(token)) \(reply.text)")
        case .checkpoint:
            precondition(members[id]?.isCheckpointing == false, "\(id) was asked for two checkpoints at a time")
            members[id]?.isCheckpointing = true
            say(id, "wants a checkpoint")
        case .compactLog(let position):
            say(id, "cuts its log up to \(position)")
            members[id]?.disk.compact(to: position)
        case .sendSnapshot(let peer): copy(for: peer, at: id)
        case .installSnapshot(let snapshot):
            precondition(members[id]?.work == nil, "\(id) was given a snapshot while it applies")
            members[id]?.work = .install(snapshot)
            say(id, "installs the snapshot at \(snapshot.position)")
        case .statusChanged(let status):
            say(id, status.text)
            guard status.role == .leader else { return }
            let known = leaders[status.term]
            precondition(known == nil || known == id, "\(id) and \(known.map(String.init) ?? "") lead \(status.term)")
            leaders[status.term] = id
        default: performRest(effect, at: id)
        }
    }

    /// Effects that no story is about change nothing here: they have tests of their own.
    private mutating func performRest(_ effect: Effect, at id: NodeID) {
        guard case .discardSnapshot(let snapshot) = effect else { return }
        members[id]?.snapshots[snapshot.id] = nil
        say(id, "discards the snapshot at \(snapshot.position)")
    }

    private mutating func copy(for peer: NodeID, at id: NodeID) {
        guard let member = members[id], let term = member.replica?.status.term else { return }
        precondition(member.copies[peer] == nil, "\(id) was asked for two copies for \(peer) at a time (etcd 18055)")
        members[id]?.copies[peer] = (member.database, term)
        say(id, "copies its state at \(member.database.applied) for \(peer)")
    }

    private mutating func say(_ id: NodeID, _ text: String) { trace.append("\(id): \(text)") }

    private func label(_ token: RequestToken) -> String { requests[token]?.label ?? "a request that nobody made" }

    private func seen(_ token: RequestToken, at id: NodeID) -> String {
        guard let database = members[id]?.database else { return "nothing" }
        guard let key = requests[token]?.key else { return "version \(database.machine.version)" }
        let value = database.machine.storage.config(.cluster, name: Self.configName(key))?.value
        return "\(key)=\(value ?? "") at version \(database.machine.version)"
    }

    static func configName(_ key: String) -> String { "user.\(key)" }
}
