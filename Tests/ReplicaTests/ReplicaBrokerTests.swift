import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

@Suite("A replica and its brokers")
struct ReplicaBrokerTests {
    private let token = RequestToken(connection: 3, request: 4)

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
