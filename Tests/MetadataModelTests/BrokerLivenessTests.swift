import Coordination
import MetadataModel
import Testing

@Suite("BrokerLiveness")
struct BrokerLivenessTests {
    private var liveness = BrokerLiveness(heartbeatTimeoutMilliseconds: 1_000, graceMilliseconds: 3_000)

    private func broker(_ id: Int32, epoch: UInt64 = 1, _ state: Broker.State = .active) -> Broker {
        Broker(
            id: BrokerID(id), epoch: BrokerEpoch(epoch), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: state, version: Version(epoch))
    }

    private mutating func lead(_ brokers: [Broker], now: UInt64 = 0) {
        liveness.becameLeader(now: now, brokers: brokers.map { ($0.id, $0.epoch, $0.state) })
    }

    @discardableResult
    private mutating func beat(
        _ id: Int32, epoch: UInt64 = 1, now: UInt64, wantsFence: Bool = false
    ) -> HeartbeatDecision {
        defer { liveness.checkInvariants() }
        return liveness.heard(broker: BrokerID(id), epoch: BrokerEpoch(epoch), now: now, wantsFence: wantsFence)
    }

    /// Ticks every 100 ms up to `end`; who expired, and when.
    private mutating func run(from start: UInt64, through end: UInt64) -> [[UInt64]] {
        var found: [[UInt64]] = []
        for now in stride(from: start, through: end, by: 100) {
            for (id, _) in liveness.expired(now: now) { found.append([now, UInt64(id.rawValue)]) }
            liveness.checkInvariants()
        }
        return found
    }

    @Test("a silent broker expires after its timeout, not at it, and is proposed again until it is fenced")
    mutating func silence() {
        lead([broker(1), broker(2)])
        _ = run(from: 0, through: 3_000)
        beat(1, now: 3_100)
        #expect(beat(2, now: 3_200) == .lease(milliseconds: 1_000, shouldUnfence: false))
        #expect(run(from: 3_300, through: 4_000) == [], "the grace of the new leader")
        #expect(run(from: 4_100, through: 4_700) == [[4_200, 1], [4_300, 2]])
        #expect(beat(1, now: 4_700) == .condemned(milliseconds: 1_000), "too late")
        #expect(run(from: 4_800, through: 4_900) == [[4_800, 1], [4_900, 2]])
        liveness.brokerChanged(broker(1, .fenced))
        liveness.brokerRemoved(BrokerID(2))
        #expect(run(from: 5_000, through: 9_000) == [])
    }

    @Test(
        "what is shown of the brokers: who is silent for longest, without those that are fenced, and no time of a pause"
    )
    mutating func reading() {
        #expect(liveness.reading == nil)
        lead([broker(1), broker(2), broker(3, .fenced)], now: 100)
        func shown(_ since: UInt64?, longest: UInt64, at now: UInt64) -> LivenessReading {
            LivenessReading(
                watched: 3, checkedAt: now, millisecondsSinceHeartbeat: since, longestSilenceMilliseconds: longest)
        }
        _ = run(from: 200, through: 400)
        // So long a broker that lives takes to find a new leader.
        #expect(liveness.reading == shown(nil, longest: 0, at: 400))
        beat(1, now: 400)
        _ = run(from: 500, through: 700)
        #expect(liveness.reading == shown(300, longest: 300, at: 700))
        beat(1, now: 700)
        #expect(
            liveness.reading == shown(0, longest: 267, at: 700), "the other one, since it could have found this leader")
        // Nobody was heard in a pause of this node, so nobody was silent.
        _ = liveness.expired(now: 60_700)
        #expect(liveness.reading == shown(0, longest: 267, at: 60_700))
        liveness.brokerChanged(broker(2, .fenced))
        #expect(liveness.reading?.longestSilenceMilliseconds == 0)
    }

    @Test("a heartbeat in time saves a broker; after its fencing was proposed none does")
    mutating func saved() {
        lead([broker(1)])
        for now in stride(from: UInt64(0), through: 20_000, by: 100) {
            if now % 900 == 0 { beat(1, now: now) }
            #expect(liveness.expired(now: now).isEmpty)
        }
        #expect(run(from: 20_100, through: 21_200).count == 1)
        #expect(beat(1, now: 21_200) == .condemned(milliseconds: 1_000))
        #expect(run(from: 21_300, through: 22_200).count == 2, "proposed again until it is applied")
    }

    @Test("a condemned broker gets no lease by other entries about it, until its fence is applied or its epoch ends")
    mutating func condemned() {
        lead([broker(1), broker(2), broker(3)])
        #expect(run(from: 0, through: 4_100) == [[4_100, 1], [4_100, 2], [4_100, 3]])
        // Its operator fences and unfences it, and both stand in the log before the leader's own fence.
        liveness.brokerChanged(broker(1, .fenced))
        #expect(beat(1, now: 4_110) == .condemned(milliseconds: 1_000))
        liveness.brokerChanged(broker(1, .active))
        #expect(beat(1, now: 4_120) == .condemned(milliseconds: 1_000))
        liveness.brokerChanged(broker(1, .fenced))
        liveness.fenceApplied(BrokerID(1), epoch: BrokerEpoch(1))
        #expect(beat(1, now: 4_130) == .lease(milliseconds: 1_000, shouldUnfence: true))
        // The entry right behind the fence, applied together with it, is the unfencing.
        liveness.fenceApplied(BrokerID(2), epoch: BrokerEpoch(1))
        #expect(beat(2, now: 4_140) == .lease(milliseconds: 1_000, shouldUnfence: false))
        // Another process took its place: the fence names the epoch before and does nothing.
        liveness.brokerChanged(broker(3, epoch: 9, .fenced))
        liveness.brokerChanged(broker(3, epoch: 9, .active))
        liveness.fenceApplied(BrokerID(3), epoch: BrokerEpoch(1))
        #expect(beat(3, epoch: 9, now: 4_150) == .lease(milliseconds: 1_000, shouldUnfence: false))
        #expect(run(from: 4_200, through: 5_100) == [])
    }

    @Test("a broker that asked to be fenced is condemned as one that was silent")
    mutating func askedFor() {
        lead([broker(1)])
        #expect(beat(1, now: 0, wantsFence: true) == .lease(milliseconds: 1_000, shouldUnfence: false))
        liveness.fenceProposed(BrokerID(1), epoch: BrokerEpoch(1))
        #expect(beat(1, now: 10) == .condemned(milliseconds: 1_000))
    }

    @Test("a new leader grants everybody its grace before it judges")
    mutating func newLeader() {
        lead([broker(1)], now: 50_000)
        #expect(run(from: 50_000, through: 54_000) == [])
        #expect(run(from: 54_100, through: 54_100) == [[54_100, 1]])
    }

    @Test("a pause of the leader fences nobody: leases are longer by the gap")
    mutating func pause() {
        lead([broker(1)])
        _ = run(from: 0, through: 3_000)
        beat(1, now: 3_100)
        #expect(run(from: 3_200, through: 3_800) == [])
        #expect(run(from: 63_800, through: 64_100) == [], "the leader was stopped for a minute")
        #expect(run(from: 64_200, through: 64_200) == [[64_200, 1]], "what was left of the lease has passed")
    }

    @Test("pauses of less than a timeout fence nobody either, however many there are")
    mutating func manyPauses() {
        liveness = BrokerLiveness(heartbeatTimeoutMilliseconds: 30_000, graceMilliseconds: 0)
        lead([broker(1)])
        beat(1, now: 0)
        var now: UInt64 = 0
        for _ in 0..<10 {
            now += 10_000
            #expect(run(from: now, through: now + 200) == [])
            now += 200
        }
        #expect(run(from: now, through: now + 27_900) == [], "2 s of silence were this node's to hear")
        #expect(run(from: now + 28_000, through: now + 28_100).count == 1)
    }

    @Test("a pause that ends with a heartbeat of one broker does not judge the others")
    mutating func pauseEndsWithHeartbeat() {
        lead([broker(1), broker(2)])
        _ = run(from: 0, through: 3_900)
        beat(1, now: 30_000)
        #expect(liveness.expired(now: 30_001).isEmpty)
    }

    @Test("time that goes back is no time")
    mutating func backwards() {
        lead([broker(1)], now: 10_000)
        beat(1, now: 5)
        #expect(liveness.expired(now: 10).isEmpty)
        #expect(run(from: 10_100, through: 14_000) == [])
        #expect(run(from: 14_100, through: 14_100) == [[14_100, 1]])
    }

    @Test("a fenced broker that beats is to be unfenced, unless it asks to stay; a lost proposal is made again")
    mutating func unfence() {
        lead([broker(1, .fenced)])
        #expect(beat(1, now: 0, wantsFence: true) == .lease(milliseconds: 1_000, shouldUnfence: false))
        #expect(beat(1, now: 10) == .lease(milliseconds: 1_000, shouldUnfence: true))
        #expect(beat(1, now: 200) == .lease(milliseconds: 1_000, shouldUnfence: false), "it is under way")
        #expect(beat(1, now: 510) == .lease(milliseconds: 1_000, shouldUnfence: true))
        liveness.brokerChanged(broker(1, .active))
        #expect(beat(1, now: 900) == .lease(milliseconds: 1_000, shouldUnfence: false))
    }

    @Test("a fenced broker never expires; one that becomes active has a whole lease from then on")
    mutating func fenced() {
        lead([broker(1, .fenced)])
        #expect(run(from: 0, through: 9_000) == [])
        liveness.brokerChanged(broker(1, .active))
        #expect(run(from: 9_100, through: 10_000) == [])
        #expect(run(from: 10_100, through: 10_100) == [[10_100, 1]])
    }

    @Test("a heartbeat of an older registration is told so, and keeps nobody alive")
    mutating func staleEpoch() {
        lead([broker(1)])
        liveness.brokerChanged(broker(1, epoch: 9, .fenced))
        liveness.brokerChanged(broker(1, epoch: 9, .active))
        var seen: [BrokerEpoch] = []
        for now in stride(from: UInt64(0), through: 1_100, by: 100) {
            #expect(beat(1, epoch: 1, now: now) == .staleEpoch)
            seen += liveness.expired(now: now).map { $0.1 }
        }
        #expect(seen == [BrokerEpoch(9)])
    }

    @Test("a broker that is not registered, and any broker on a node that does not lead, is unknown")
    mutating func unknown() {
        #expect(beat(1, now: 0) == .unknownBroker)
        lead([broker(1)])
        #expect(beat(2, now: 0) == .unknownBroker)
        liveness.resigned()
        #expect(beat(1, now: 0) == .unknownBroker)
        #expect(liveness.expired(now: 60_000).isEmpty)
        liveness.brokerChanged(broker(1))
        #expect(!liveness.isLeading && liveness.reading == nil)
    }

    @Test("ten thousand brokers with a heartbeat each second cost little, and only the silent ones expire")
    mutating func many() {
        let count = Int32(10_000)
        lead((0..<count).map { broker($0) })
        var expired: Set<Int32> = []
        for now in stride(from: UInt64(0), through: 8_000, by: 100) {
            for id in stride(from: Int32(now / 100) % 8, to: count, by: 8) where id % 1_000 != 0 {
                beatOnly(id, now: now)
            }
            for (id, _) in liveness.expired(now: now) { expired.insert(id.rawValue) }
        }
        liveness.checkInvariants()
        #expect(expired.sorted() == Array(stride(from: 0, to: count, by: 1_000)))
    }

    private mutating func beatOnly(_ id: Int32, now: UInt64) {
        _ = liveness.heard(broker: BrokerID(id), epoch: BrokerEpoch(1), now: now, wantsFence: false)
    }
}
