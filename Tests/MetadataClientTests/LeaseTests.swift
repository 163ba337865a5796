import Coordination
import MetadataModel
import Resilience
import Testing
import Wire

@testable import MetadataClient

/// The broker's machine and the leader's, with a network between that delays and loses.
@Suite("Leases")
struct LeaseTests {
    private enum Delivery {
        case heartbeat(sentAt: Int)
        /// The broker has waited for an answer for long enough.
        case patience
        case answer(HeartbeatAnswer, sentAt: Int)
    }

    /// Both clocks run alike; nothing else is assumed, neither of delays nor of what either side notices when.
    @Test(
        "whatever is delayed, lost or paused, and whoever leads, a broker has given up before it is fenced for silence",
        arguments: UInt64(1)...20)
    func givesUpFirst(seed: UInt64) {
        let timeout = 900
        let id = BrokerID(1)
        let epoch = BrokerEpoch(5)
        var random = SplitMix64(seed: seed)
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        let start = ContinuousClock().now
        func at(_ time: Int) -> ContinuousClock.Instant { start.advanced(by: .milliseconds(time)) }

        var broker = Broker(
            id: id, epoch: epoch, incarnation: IncarnationID(high: 1, low: 1), endpoints: [], rack: "", state: .fenced,
            version: Version(5))
        var session = BrokerSessionMachine(interval: .milliseconds(300), seed: seed)
        _ = session.registered(epoch)
        // What the log says of its silence, and what is on its way there.
        var row = BrokerSilences()
        var notes: [(due: Int, note: BrokerSilence)] = []
        func newLeader(_ now: Int) -> BrokerLiveness {
            var liveness = BrokerLiveness(
                heartbeatTimeoutMilliseconds: UInt64(timeout), graceMilliseconds: UInt64(timeout))
            liveness.becameLeader(now: UInt64(now), brokers: [(id, epoch, broker.state)])
            liveness.inherited(row)
            return liveness
        }
        var mostNoted: UInt64 = 0
        func apply(_ note: BrokerSilence, to leader: inout BrokerLiveness?) {
            row = BrokerSilences(text: note.milliseconds > 0 ? "\(id):\(epoch):\(note.milliseconds)" : nil)
            mostNoted = max(mostNoted, note.milliseconds)
            leader?.silencesChanged(row)
            leader?.notesApplied([note])
        }
        var leader = newLeader(0)
        var network: [Int: [Delivery]] = [:]
        var isWaiting = false
        var (fenced, led, pausedUntil, cutUntil) = (0, 0, 0, 0)
        for now in 1..<60_000 {
            if now % 1_500 == 0, chance(30) { cutUntil = now + Int.random(in: 0..<3_000, using: &random) }
            if now % 1_500 == 0, chance(10) { pausedUntil = now + Int.random(in: 0..<2_000, using: &random) }
            while let (due, note) = notes.first, due <= now {
                notes.removeFirst()
                var listener: BrokerLiveness? = leader
                apply(note, to: &listener)
                if let listener { leader = listener }
            }
            if now % 2_000 == 0, chance(40) {
                // What the leader before had proposed has reached the others, up to some entry.
                var nobody: BrokerLiveness?
                while let (_, note) = notes.first, chance(50) {
                    notes.removeFirst()
                    apply(note, to: &nobody)
                }
                notes = []
                leader = newLeader(now)
            }
            func send(_ delivery: Delivery) {
                guard now >= cutUntil else { return }
                let slow = chance(5) ? 1_500 : 40
                network[now + Int.random(in: 1...slow, using: &random), default: []].append(delivery)
            }
            // The broker.
            _ = session.elapsed(now: at(now))
            if !isWaiting, case .heartbeat(_, let patience) = session.step(now: at(now)) {
                send(.heartbeat(sentAt: now))
                isWaiting = true
                let end = now + Int(patience / .milliseconds(1))
                network[max(end, now + 1), default: []].append(.patience)
            }
            for delivery in network.removeValue(forKey: now) ?? [] {
                switch delivery {
                case .patience:
                    guard isWaiting else { continue }
                    isWaiting = false
                    let failure = MetadataError(CallFailure(.timedOut, .definite, ""), operation: "heartbeat")
                    _ = session.heartbeatFailed(failure, epoch: epoch, now: at(now))
                case .heartbeat(let sentAt):
                    guard now >= pausedUntil else {
                        network[pausedUntil + 1, default: []].append(delivery)
                        continue
                    }
                    let heard = leader.heard(broker: id, epoch: epoch, now: UInt64(now), wantsFence: false)
                    guard case .lease(let milliseconds, let shouldUnfence) = heard else { continue }
                    let answer = HeartbeatAnswer(
                        state: broker.state, leaseMilliseconds: UInt32(milliseconds), version: Version(UInt64(now)))
                    send(.answer(answer, sentAt: sentAt))
                    if shouldUnfence {
                        broker.state = .active
                        leader.brokerChanged(broker)
                    }
                case .answer(let answer, let sentAt):
                    isWaiting = false
                    _ = session.heartbeatAnswered(answer, epoch: epoch, sentAt: at(sentAt), now: at(now))
                }
            }
            if session.mayLead(at: at(now)) { led += 1 }
            // The leader of the quorum.
            guard now >= pausedUntil, now % 50 == 0 else { continue }
            for _ in leader.expired(now: UInt64(now)) {
                #expect(!session.mayLead(at: at(now)), "seed \(seed), \(now) ms: fenced while it may lead")
                broker.state = .fenced
                leader.brokerChanged(broker)
                leader.fenceApplied(id, epoch: epoch)
                fenced += 1
            }
            for note in leader.takeNotes() {
                notes.append((max(notes.last?.due ?? 0, now + Int.random(in: 1...300, using: &random)), note))
            }
        }
        #expect(
            fenced > 0 && led > 15_000 && mostNoted > 0,
            "seed \(seed): fenced \(fenced) times, led \(led) ms: the test sees too little")
    }
}
