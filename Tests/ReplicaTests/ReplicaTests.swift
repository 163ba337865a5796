import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

/// One member alone in its quorum: the smallest replica that does everything, driven by hand.
struct Alone {
    static let id = NodeID(1)
    var replica: Replica
    var persists: [UInt64] = []
    var applies: [[Entry]] = []
    var others: [Effect] = []
    var now: UInt64 = 1_000
    /// A `beginShutdown` is answered as one that changed nothing.
    var stepsChangeNothing = false

    init(
        options: ReplicaOptions = ReplicaOptions(), disk: DiskID = DiskID(high: 1, low: 2), logTime: UInt64 = 0
    ) {
        let members = Configuration(
            voters: [Member(id: Alone.id, disk: .unknown, peerAddress: "a:1", clientAddress: "a:2")])
        let first = Entry(term: Term(1), index: LogIndex(1), kind: .configuration, payload: members.encoded())
        replica = Replica(
            id: Alone.id, disk: disk, options: options,
            restored: RestoredState(
                hardState: HardState(term: Term(1), vote: nil), base: .zero, entries: [first], applied: .zero,
                configuration: .empty),
            image: StateMachineImage(applied: .zero, version: .zero, logTimeMilliseconds: logTime, brokers: []),
            now: 1_000, seed: 7)
    }

    mutating func turn() {
        for effect in replica.takeEffects() {
            switch effect {
            case .persist(let persist): persists.append(persist.sequence)
            case .apply(let entries): applies.append(entries)
            default: others.append(effect)
            }
        }
        replica.checkInvariants()
    }

    /// The disk answers all it owes; the state machine applies all it was given.
    mutating func settle() {
        turn()
        while !persists.isEmpty || !applies.isEmpty {
            if !persists.isEmpty { replica.persisted(persists.removeFirst()) }
            if !applies.isEmpty { report(applies.removeFirst()) }
            turn()
        }
    }

    mutating func report(_ entries: [Entry], brokers: [Broker] = [], unfinished: UnfinishedWork? = nil) {
        guard let last = entries.last else { return }
        let commands = entries.filter { $0.kind == .command }
        replica.applied(
            AppliedReport(
                applied: last.position, version: Version(last.index.rawValue), logTimeMilliseconds: 0,
                outcomes: commands.map { entry in
                    var version = Version(entry.index.rawValue)
                    if stepsChangeNothing, case .beginShutdown = LogCommand(decoding: entry.payload).command {
                        version = .zero
                    }
                    return .init(index: entry.index, outcome: .done(.changed(version)))
                },
                brokers: brokers, removedBrokers: [], unfinished: unfinished))
    }

    mutating func elect() {
        for _ in 0..<40 where !replica.isLeader {
            now += 20
            replica.tick(now: now)
            settle()
        }
        precondition(replica.isLeader, "a single member elects itself")
        settle()
        others = []
    }

    func intent(_ value: String) -> WriteIntent {
        let command = Command.alterConfigs(
            .init(resource: .cluster, changes: [ConfigChange(name: "user.key", value: value)]))
        return WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes())
    }
}

@Suite("A replica")
struct ReplicaTests {
    private let token = RequestToken(connection: 3, request: 4)

    @Test("a write is answered after it is synced and applied, not before")
    func writeOrder() {
        var alone = Alone()
        alone.elect()
        alone.replica.write(alone.intent("x"), token: token)
        alone.turn()
        #expect(alone.applies.isEmpty, "applied ahead of the sync of the log")
        #expect(alone.others.isEmpty)
        alone.replica.persisted(alone.persists.removeFirst())
        alone.turn()
        #expect(alone.applies.count == 1)
        #expect(alone.others.isEmpty, "answered before it was applied")
        let index = alone.replica.core.lastIndex.rawValue
        alone.report(alone.applies.removeFirst())
        alone.turn()
        #expect(alone.others == [.replyWrite(token, .outcome(.done(.changed(Version(index)))))])
    }

    @Test("writes of one turn become one proposal, one sync, one apply")
    func batching() {
        var alone = Alone()
        alone.elect()
        for request in 0..<50 {
            alone.replica.write(
                alone.intent("\(request)"), token: RequestToken(connection: 1, request: UInt64(request)))
        }
        alone.turn()
        #expect(alone.persists.count == 1)
        alone.replica.persisted(alone.persists.removeFirst())
        alone.turn()
        #expect(alone.applies.map(\.count) == [50])
    }

    @Test("a write that is late before it is proposed costs nothing, and is answered as certainly not carried out")
    func expired() {
        var alone = Alone()
        alone.elect()
        let end = alone.replica.core.lastIndex
        var late = alone.intent("late")
        late.deadline = alone.now
        var early = alone.intent("early")
        early.deadline = alone.now + 1
        alone.replica.write(late, token: token)
        alone.turn()
        #expect(alone.others == [.replyWrite(token, .expired)])
        #expect(alone.replica.core.lastIndex == end)
        alone.replica.write(early, token: RequestToken(connection: 3, request: 5))
        alone.replica.write(late, token: RequestToken(connection: 3, request: 6))
        alone.turn()
        #expect(alone.replica.core.lastIndex == end.next, "one of the two is proposed")
    }

    @Test("a member that does not lead refuses writes and hands nothing to the log")
    func notLeader() {
        var alone = Alone()
        alone.turn()
        alone.others = []
        alone.replica.write(alone.intent("x"), token: token)
        alone.turn()
        #expect(alone.others == [.replyWrite(token, .notLeader(nil))])
        #expect(alone.persists.isEmpty)
    }

    @Test("a read by version waits until that version is applied")
    func atLeast() {
        var alone = Alone()
        alone.elect()
        let next = alone.replica.core.lastIndex.rawValue + 1
        alone.replica.read(.atLeast(Version(next)), token: token, now: alone.now)
        alone.turn()
        #expect(alone.others.isEmpty)
        alone.replica.write(alone.intent("x"), token: RequestToken(connection: 9, request: 9))
        alone.settle()
        #expect(alone.others.contains(.serveReads([token])))
    }

    @Test("a read that cannot be served in time is refused, not forgotten")
    func readExpires() {
        var alone = Alone()
        alone.elect()
        alone.replica.read(.atLeast(Version(1_000_000)), token: token, now: alone.now)
        alone.turn()
        alone.now += ReplicaOptions().readWaitMilliseconds + 1
        alone.replica.tick(now: alone.now)
        alone.turn()
        #expect(alone.others.contains(.refuseReads([token], .unconfirmed)))
        #expect(alone.replica.openReads == 0)
    }

    @Test("a stale read is served within its lag and refused beyond it")
    func stale() {
        var alone = Alone()
        alone.turn()
        alone.others = []
        alone.replica.read(.stale(maxLagMilliseconds: 500), token: token, now: alone.now)
        alone.turn()
        #expect(alone.others == [.refuseReads([token], .tooStale(milliseconds: .max))])
        alone.elect()
        alone.replica.read(.stale(maxLagMilliseconds: 0), token: token, now: alone.now)
        alone.turn()
        #expect(alone.others == [.serveReads([token])], "a leader lags behind nobody")
    }

    @Test("a leader whose disk is silent steps down within two election timeouts (hashicorp/raft 503)")
    func silentDisk() {
        let options = ReplicaOptions(diskSilenceMilliseconds: 300)
        var alone = Alone(options: options)
        alone.elect()
        alone.replica.write(alone.intent("x"), token: token)
        alone.turn()
        #expect(alone.persists.count == 1)
        for _ in 0..<31 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.turn()
        }
        #expect(!alone.replica.isLeader)
        #expect(alone.others.contains(.replyWrite(token, .leadershipLost(nil))))
    }

    @Test(
        "a leader that steps down has heard a leader until its last turn as one: stale reads go on within their lag, by the time of the read and not of the last tick"
    )
    func staleAfterLeading() {
        var alone = Alone()
        alone.elect()
        alone.replica.write(alone.intent("x"), token: token)
        // The disk never answers.
        for _ in 0..<100 where alone.replica.isLeader {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.turn()
        }
        #expect(!alone.replica.isLeader)
        // The process is stopped, and takes in reads before its next tick.
        alone.now += 500
        alone.others = []
        alone.replica.read(.stale(maxLagMilliseconds: 1_000), token: token, now: alone.now)
        alone.replica.read(
            .stale(maxLagMilliseconds: 100), token: RequestToken(connection: 5, request: 5), now: alone.now)
        alone.turn()
        #expect(alone.others.contains(.serveReads([token])))
        #expect(
            alone.others.contains(
                .refuseReads([RequestToken(connection: 5, request: 5)], .tooStale(milliseconds: 520))))
    }

    @Test("a leader that stood still may be deposed: its state is as old as the pause, until a majority has answered")
    func staleAfterPause() {
        var member = OfThree()
        member.lead()
        let stale = ReadConsistency.stale(maxLagMilliseconds: 100)
        member.now += 5_000
        member.replica.read(stale, token: token, now: member.now)
        member.turn()
        #expect(member.replica.isLeader)
        #expect(member.seen.contains(.refuseReads([token], .tooStale(milliseconds: 5_000))))
        member.tick()
        let asked = member.seen.compactMap { if case .send(let messages) = $0 { messages } else { nil } }.joined()
        for message in asked {
            guard case .heartbeat(_, let round) = message.kind else { continue }
            member.receive(.heartbeatResponse(round: round), from: message.to)
        }
        member.replica.read(stale, token: token, now: member.now)
        member.turn()
        #expect(member.seen.contains(.serveReads([token])))
    }

    @Test("a leader stamps already the writes of the turn in which it was elected with the log's time")
    func firstTurn() throws {
        var alone = Alone(logTime: 5_000)
        while alone.persists.isEmpty {
            alone.now += 60_000
            alone.replica.tick(now: alone.now)
            alone.turn()
        }
        while !alone.persists.isEmpty, !alone.replica.isLeader {
            alone.replica.persisted(alone.persists.removeFirst())
            if !alone.replica.isLeader { alone.turn() }
        }
        try #require(alone.replica.isLeader)
        alone.replica.write(alone.intent("x"), token: token)
        alone.turn()
        let core = alone.replica.core
        let first = try #require(
            core.entries(in: core.base.index.next..<core.lastIndex.next).first { $0.kind == .command })
        #expect(
            try LogEnvelope(decoding: first.payload).timeMilliseconds == 5_000,
            "the minutes without a leader would expire every session")
    }

    @Test("what is not applied is bounded: beyond it writes are refused as overloaded")
    func boundedBacklog() {
        var alone = Alone(options: ReplicaOptions(unappliedEntriesMax: 10))
        alone.elect()
        for request in 0..<20 {
            alone.replica.write(alone.intent("x"), token: RequestToken(connection: 1, request: UInt64(request)))
            alone.turn()
        }
        let refused = alone.others.count {
            if case .replyWrite(_, .overloaded) = $0 { true } else { false }
        }
        #expect(refused == 10)
    }

    @Test("the first leader that knows all disks writes them into the configuration (KIP-853)")
    func namesDisks() {
        var alone = Alone(disk: DiskID(high: 5, low: 6))
        alone.elect()
        alone.now += 20
        alone.replica.tick(now: alone.now)
        alone.settle()
        #expect(alone.replica.core.configuration.members.map(\.disk) == [DiskID(high: 5, low: 6)])
        let length = alone.replica.core.lastIndex
        for _ in 0..<10 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.settle()
        }
        #expect(alone.replica.core.lastIndex == length, "the configuration is written once")
    }

    @Test("a leader names the disks that it knows, whether all members have come yet or not")
    func namesSomeDisks() {
        let unknown = (1...3 as ClosedRange<UInt64>).map {
            Member(id: NodeID($0), disk: .unknown, peerAddress: "a:\($0)", clientAddress: "b:\($0)")
        }
        var member = OfThree(configuration: Configuration(voters: unknown))
        member.lead()
        func disks() -> [DiskID] { member.replica.core.configuration.members.map(\.disk) }
        func settle() {
            for _ in 0..<5 {
                member.tick()
                member.others()
            }
        }
        settle()
        #expect(disks() == [DiskID(high: 1, low: 1), .unknown, .unknown], "its own")
        let length = member.replica.core.lastIndex
        settle()
        #expect(member.replica.core.lastIndex == length, "nothing new is nothing to write")
        member.replica.introduced(NodeID(2), disk: DiskID(high: 1, low: 2))
        settle()
        #expect(disks() == [DiskID(high: 1, low: 1), DiskID(high: 1, low: 2), .unknown])
    }

    @Test("the log is cut only as far as a checkpoint has made durable, and keeps half")
    func compaction() {
        var alone = Alone(options: ReplicaOptions(logEntriesMax: 100, checkpointBytes: 1_000))
        alone.elect()
        for request in 0..<200 {
            alone.replica.write(alone.intent("x"), token: RequestToken(connection: 1, request: UInt64(request)))
            alone.settle()
        }
        #expect(alone.others.contains(.checkpoint))
        #expect(alone.replica.core.base == .zero, "nothing is durable yet")
        let durable = LogPosition(index: LogIndex(30), term: alone.replica.core.term(at: LogIndex(30)) ?? .zero)
        alone.replica.checkpointed(durable)
        alone.turn()
        #expect(alone.others.contains(.compactLog(durable)))
        #expect(alone.replica.core.base == durable)
    }

    @Test(
        "while a snapshot travels the log is held for it, up to twice its length (pitfall: a laggard that never catches up)"
    )
    func heldForSnapshot() {
        var policy = CompactionPolicy(entriesMax: 100, bytesMax: 1 << 30, checkpointBytes: 1 << 30, jitter: 0)
        policy.handedToApply(bytes: 1)
        func cut(entries: UInt64, isSnapshotUnderWay: Bool) -> LogIndex? {
            let entries = (1...entries).map { Entry(term: Term(1), index: LogIndex($0), kind: .noop, payload: []) }
            let last = LogPosition(index: LogIndex(UInt64(entries.count)), term: Term(1))
            let core = RaftNode(
                id: NodeID(1), options: Options(),
                restored: RestoredState(
                    hardState: HardState(term: Term(1), vote: nil), base: .zero, entries: entries, applied: last.index,
                    configuration: .empty), seed: 1)
            return policy.cut(core: core, durable: last, isSnapshotUnderWay: isSnapshotUnderWay)
        }
        #expect(cut(entries: 100, isSnapshotUnderWay: false) == nil)
        #expect(cut(entries: 101, isSnapshotUnderWay: false) == LogIndex(50))
        #expect(cut(entries: 200, isSnapshotUnderWay: true) == nil)
        #expect(cut(entries: 201, isSnapshotUnderWay: true) == LogIndex(100))
    }

    @Test("a new leader that has not applied all says so instead of calling a broker unknown")
    func unknownBroker() {
        var alone = Alone()
        alone.elect()
        alone.heartbeat(BrokerEpoch(1), token)
        alone.turn()
        #expect(alone.others == [.replyHeartbeat(token, .unknownBroker)])

        var early = Alone()
        for _ in 0..<40 where !early.replica.isLeader {
            early.now += 20
            early.replica.tick(now: early.now)
            early.turn()
            // The disk answers, the state machine does not.
            while !early.persists.isEmpty {
                early.replica.persisted(early.persists.removeFirst())
                early.turn()
            }
        }
        early.others = []
        early.heartbeat(BrokerEpoch(1), token)
        early.turn()
        #expect(early.others == [.replyHeartbeat(token, .notLeader(nil))])
    }
}

extension ReplicaTests {
    @Test(
        "the leader's own commands come before those of clients and wait for room; of the clients' the first that fit go"
    )
    func ownFirst() {
        var options = ReplicaOptions(
            brokerTimeoutMilliseconds: 1_000, brokerGraceMilliseconds: 1_000, diskSilenceMilliseconds: 1_000_000)
        options.raft.uncommittedBytesMax = 1_400
        var alone = Alone(options: options)
        alone.elect()
        let broker = Broker(
            id: BrokerID(1), epoch: BrokerEpoch(5), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: .active, version: Version(5))
        alone.replica.write(alone.intent("x"), token: token)
        alone.apply(leaving: broker)
        // The leader writes down its disk and looks at the state.
        for _ in 0..<5 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.settle()
        }
        // The disk does not answer while the broker's lease runs out, and the log has no room.
        alone.replica.write(alone.intent(String(repeating: "y", count: 1_300)), token: token)
        for _ in 0..<150 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.turn()
        }
        #expect(alone.replica.isLeader && alone.persists.count == 1)
        alone.others = []
        while !alone.persists.isEmpty { alone.replica.persisted(alone.persists.removeFirst()) }
        let tokens = (UInt64(1)...3).map { RequestToken(connection: 7, request: $0) }
        for token in tokens { alone.replica.write(alone.intent(String(repeating: "z", count: 400)), token: token) }
        alone.turn()
        #expect(alone.others == [.replyWrite(tokens[2], .overloaded)], "two fit beside the leader's own")
        let commands = alone.apply(leaving: broker)
        let notes = commands.count { if case .noteSilence = $0 { true } else { false } }
        #expect(notes == 3 && commands.count == 4 + notes, "its silence was noted on the way")
        #expect(commands.dropFirst(1 + notes).first == .fenceBroker(id: broker.id, epoch: broker.epoch))
    }

    @Test("a broker that follows the metadata is unfenced when it has seen its registration, one that does not at once")
    func caughtUp() throws {
        let broker = Broker(
            id: BrokerID(1), epoch: BrokerEpoch(5), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: .fenced, version: Version(5))
        for (version, isUnfenced) in [(UInt64(0), true), (4, false), (5, true), (6, true)] {
            var alone = Alone()
            alone.elect()
            alone.replica.write(alone.intent("x"), token: token)
            alone.apply(leaving: broker)
            alone.settle()
            alone.replica.heartbeat(
                broker: broker.id, epoch: broker.epoch, caughtUp: Version(version), wantsFence: false, token: token,
                now: alone.now)
            let proposed = alone.apply(leaving: broker)
            #expect(
                proposed == (isUnfenced ? [.unfenceBroker(id: broker.id, epoch: broker.epoch)] : []), "\(version)")
        }
    }

    @Test(
        "what is being fenced is fenced step by step, whoever began it, one step at a time and without a lease meanwhile"
    )
    func fencingSteps() throws {
        var alone = Alone()
        alone.elect()
        let brokers = (Int32(1)...2).map {
            Broker(
                id: BrokerID($0), epoch: BrokerEpoch(5), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
                rack: "", state: .fencing, version: Version(5))
        }
        func fence(_ place: Int) -> Command { .fenceBroker(id: brokers[place].id, epoch: brokers[place].epoch) }
        alone.replica.write(alone.intent("x"), token: token)
        alone.apply(leaving: brokers)
        for _ in 0..<3 {
            #expect(try alone.heartbeat(brokers[0], wantsShutdown: false, token).state == .fencing)
            #expect(alone.apply(leaving: []) == [fence(0)], "one after the other, and one at a time")
        }
        var fenced = brokers[0]
        fenced.state = .fenced
        #expect(alone.apply(leaving: [fenced]) == [fence(0)])
        #expect(alone.apply(leaving: []) == [fence(1)])
        fenced = brokers[1]
        fenced.state = .fenced
        #expect(alone.apply(leaving: [fenced]) == [fence(1)])
        #expect(alone.apply(leaving: []) == [])
    }

    @Test("what is too much for one entry goes on step by step, whoever began it, behind what is being fenced")
    func unfinishedWork() {
        var alone = Alone()
        alone.elect()
        let work = UnfinishedWork(text: "1:5:returning:1:1:499")
        #expect(!work.isEmpty)
        alone.replica.write(alone.intent("x"), token: token)
        alone.apply(leaving: [], unfinished: work)
        for _ in 0..<3 { #expect(alone.apply(leaving: []) == [.takeStep], "one at a time") }
        let broker = Broker(
            id: BrokerID(2), epoch: BrokerEpoch(6), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: .fencing, version: Version(6))
        #expect(alone.apply(leaving: [broker]) == [.takeStep])
        var fenced = broker
        fenced.state = .fenced
        #expect(alone.apply(leaving: [fenced]) == [.fenceBroker(id: broker.id, epoch: broker.epoch)])
        #expect(alone.apply(leaving: [], unfinished: UnfinishedWork()) == [.takeStep])
        #expect(alone.apply(leaving: []) == [])
    }

    @Test("a broker that asks to stop has its shutdown proposed, and is told when it may stop (KIP-631)")
    func brokerShutdown() throws {
        var alone = Alone()
        alone.elect()
        var broker = Broker(
            id: BrokerID(1), epoch: BrokerEpoch(5), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "",
            state: .active, version: Version(5))
        alone.replica.write(alone.intent("x"), token: token)
        alone.apply(leaving: broker)
        #expect(try alone.heartbeat(broker, wantsShutdown: true, token).shouldShutDown == false)
        let proposed = alone.apply(leaving: broker)
        #expect(proposed == [.beginShutdown(id: broker.id, epoch: broker.epoch)])
        broker.state = .shuttingDown
        alone.replica.write(alone.intent("y"), token: token)
        alone.apply(leaving: broker)
        #expect(try alone.heartbeat(broker, wantsShutdown: true, token).shouldShutDown == false, "much may be left")
        #expect(alone.apply(leaving: broker) == [.beginShutdown(id: broker.id, epoch: broker.epoch)], "a step")
        alone.stepsChangeNothing = true
        #expect(alone.apply(leaving: broker) == [.beginShutdown(id: broker.id, epoch: broker.epoch)], "the last")
        let answer = try alone.heartbeat(broker, wantsShutdown: true, token)
        #expect(answer.state == .shuttingDown && answer.shouldShutDown)
        #expect(try alone.heartbeat(broker, wantsShutdown: false, token).shouldShutDown, "its operator asked")
        broker.state = .fenced
        alone.replica.write(alone.intent("z"), token: token)
        alone.apply(leaving: broker)
        #expect(try alone.heartbeat(broker, wantsShutdown: true, token).shouldShutDown, "it leads nothing as it is")
        #expect(alone.apply(leaving: broker) == [], "it is not unfenced while it wants to stop")
    }
}

extension Alone {
    /// Syncs and applies what was proposed, which leaves the broker as given. Returns the commands.
    @discardableResult
    fileprivate mutating func apply(leaving broker: Broker) -> [Command] { apply(leaving: [broker]) }

    @discardableResult
    fileprivate mutating func apply(leaving brokers: [Broker], unfinished: UnfinishedWork? = nil) -> [Command] {
        turn()
        while !persists.isEmpty {
            replica.persisted(persists.removeFirst())
            turn()
        }
        var commands: [Command] = []
        while !applies.isEmpty {
            let entries = applies.removeFirst()
            commands += entries.compactMap { LogCommand(decoding: $0.payload).command }
            report(entries, brokers: brokers, unfinished: unfinished)
            turn()
        }
        others = []
        return commands
    }

    fileprivate mutating func heartbeat(_ epoch: BrokerEpoch, _ token: RequestToken) {
        replica.heartbeat(broker: BrokerID(1), epoch: epoch, wantsFence: false, token: token, now: now)
    }

    fileprivate mutating func heartbeat(
        _ broker: Broker, wantsShutdown: Bool, _ token: RequestToken
    ) throws -> (state: Broker.State, shouldShutDown: Bool) {
        replica.heartbeat(
            broker: broker.id, epoch: broker.epoch, wantsFence: false, wantsShutdown: wantsShutdown, token: token,
            now: now)
        turn()
        let replies = others.compactMap { effect -> (Broker.State, Bool)? in
            guard case .replyHeartbeat(_, .accepted(let state, _, _, let shouldShutDown)) = effect else { return nil }
            return (state, shouldShutDown)
        }
        return try #require(replies.last)
    }
}

@Suite("How a log fits its state machine")
struct LogFitTests {
    private func entries(_ terms: [UInt64], from first: UInt64 = 11) -> [Entry] {
        terms.enumerated().map {
            Entry(term: Term($1), index: LogIndex(first + UInt64($0)), kind: .noop, payload: [])
        }
    }

    private let base = LogPosition(index: LogIndex(10), term: Term(2))

    private func fit(_ index: UInt64, _ term: UInt64) -> LogFit {
        LogFit(
            base: base, entries: entries([2, 3, 3]), applied: LogPosition(index: LogIndex(index), term: Term(term)))
    }

    @Test("the four ways")
    func ways() {
        #expect(fit(10, 2) == .fits)
        #expect(fit(11, 2) == .fits)
        #expect(fit(13, 3) == .fits)
        #expect(fit(12, 2) == .mustBeginAnew, "the log says something else there")
        #expect(fit(14, 3) == .mustBeginAnew, "the log ends before it")
        #expect(fit(10, 1) == .mustBeginAnew)
        #expect(fit(9, 2) == .entriesAreMissing)
    }
}
