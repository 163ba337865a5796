import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

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
}
