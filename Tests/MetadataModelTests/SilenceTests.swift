import Coordination
import MetadataModel
import Testing

/// Leaders one after the other, and the log that tells each what those before it have noted.
@Suite("silence and elections")
struct SilenceTests {
    private static let timeout: UInt64 = 30_000
    private static let tick: UInt64 = 100

    /// A leader of the quorum, and brokers that beat every ten seconds while they live.
    private struct Quorum {
        var model = Model()
        var leader = BrokerLiveness(
            heartbeatTimeoutMilliseconds: SilenceTests.timeout, graceMilliseconds: SilenceTests.timeout)
        var now: UInt64 = 0
        /// What the leader has proposed in this tick; applied in the next.
        var proposed: [Command] = []
        /// When each living broker beats next.
        var beats: [Int32: UInt64] = [:]
        var notes: [BrokerSilence] = []
        var shortestLease = SilenceTests.timeout

        init(brokers: ClosedRange<Int32>) {
            model.apply(.setFeatureLevel(Limits.featureLevelOfSteps))
            model.addBrokers(brokers)
            for id in brokers { beats[id] = UInt64(id) * 37 % 10_000 }
            elect()
        }

        var silences: BrokerSilences {
            BrokerSilences(text: model.storage.config(.cluster, name: BrokerSilences.configName)?.value)
        }

        /// What the leader before has proposed is lost. The brokers need some time to find the new one.
        mutating func elect() {
            proposed = []
            leader.becameLeader(now: now, brokers: model.storage.brokers().map { ($0.id, $0.epoch, $0.state) })
            leader.inherited(silences)
            for id in beats.keys { beats[id] = now + 500 + UInt64(id) * 37 % 3_000 }
        }

        mutating func step() {
            now += SilenceTests.tick
            for command in proposed {
                let changes = model.applyEntry(command).event?.changes ?? []
                for change in changes {
                    if case .brokerChanged(let broker) = change { leader.brokerChanged(broker) }
                    if let latest = BrokerSilences(change) { leader.silencesChanged(latest) }
                }
                switch command {
                case .noteSilence(let notes): leader.notesApplied(notes)
                case .fenceBroker(let id, let epoch): leader.fenceApplied(id, epoch: epoch)
                default: continue
                }
            }
            proposed = []
            for (id, due) in beats where due <= now {
                beats[id] = now + 10_000
                let decision = leader.heard(
                    broker: BrokerID(id), epoch: model.epoch(id), now: now, wantsFence: false)
                if case .lease(let milliseconds, _) = decision { shortestLease = min(shortestLease, milliseconds) }
            }
            for (id, epoch) in leader.expired(now: now) { proposed.append(.fenceBroker(id: id, epoch: epoch)) }
            let due = leader.takeNotes()
            notes += due
            if !due.isEmpty { proposed.append(.noteSilence(due)) }
            leader.checkInvariants()
        }

        func isFenced(_ id: Int32) -> Bool { model.storage.broker(BrokerID(id))?.state == .fenced }
    }

    @Test(
        "elections every 20 s for ten minutes do not keep a dead broker alive, and cost the others nothing",
        arguments: (0...10).map { UInt64($0) * 1_900 })
    func elections(dies: UInt64) {
        var quorum = Quorum(brokers: 1...8)
        var fencedAt: UInt64?
        while quorum.now < 600_000 {
            if quorum.now >= 60_000 + dies { quorum.beats[1] = nil }
            if quorum.now % 20_000 == 0, quorum.now > 0 { quorum.elect() }
            quorum.step()
            if fencedAt == nil, quorum.isFenced(1) { fencedAt = quorum.now }
        }
        let took = (fencedAt ?? 600_000) - (60_000 + dies)
        // Six leaderships that last as long as half of the timeout (docs/partitions.md), and the one that it dies in.
        #expect(took <= 7 * 20_000, "fenced after \(took) ms")
        #expect(took >= Self.timeout - 10_000)
        for id in Int32(2)...8 {
            #expect(!quorum.isFenced(id))
            #expect(!quorum.notes.contains { $0.broker == BrokerID(id) }, "a healthy broker costs an entry")
        }
        #expect(quorum.silences.isEmpty || quorum.now == fencedAt, "nothing stays noted of a broker that is fenced")
    }

    @Test("a broker that is heard again has a whole lease when the log says so, and until then what is left of one")
    func heardAgain() {
        var quorum = Quorum(brokers: 1...2)
        while quorum.now < 15_000 { quorum.step() }
        let rest = quorum.beats[1]
        quorum.beats[1] = nil
        while quorum.silences.isEmpty, quorum.now < 60_000 { quorum.step() }
        let noted = quorum.silences.milliseconds(of: BrokerID(1), quorum.model.epoch(1))
        #expect(noted >= Self.timeout / 2 && noted < Self.timeout)
        #expect(rest != nil)
        // Another leader counts on from there.
        quorum.elect()
        quorum.beats[1] = quorum.now + 1_000
        while quorum.now < 62_000 { quorum.step() }
        #expect(quorum.shortestLease == Self.timeout - noted)
        #expect(quorum.silences.isEmpty, "and then nothing is noted any more")
        quorum.shortestLease = Self.timeout
        while quorum.now < 100_000 { quorum.step() }
        #expect(quorum.shortestLease == Self.timeout && !quorum.isFenced(1))
    }

    @Test("a leader that stood still notes nothing of that time")
    func pause() {
        var quorum = Quorum(brokers: 1...3)
        while quorum.now < 40_000 { quorum.step() }
        quorum.now += 600_000
        for id in quorum.beats.keys { quorum.beats[id] = quorum.now + 3_000 }
        for _ in 0..<600 { quorum.step() }
        #expect(quorum.notes.isEmpty && (Int32(1)...3).allSatisfy { !quorum.isFenced($0) })
    }

    @Test("ten thousand brokers that beat cost no entry; a thousand that die together cost a bounded few")
    func many() {
        var quorum = Quorum(brokers: 0...1_999)
        while quorum.now < 45_000 { quorum.step() }
        #expect(quorum.notes.isEmpty)
        for id in Int32(0)..<1_100 { quorum.beats[id] = nil }
        var entries = 0
        while quorum.now < 80_000 {
            quorum.step()
            entries += quorum.proposed.count {
                if case .noteSilence(let notes) = $0 { notes.count <= Limits.silentBrokersMax } else { false }
            }
        }
        #expect((Int32(0)..<1_100).allSatisfy { quorum.isFenced($0) })
        // Three for each broker at most, gathered by tick; and one to forget what is fenced.
        #expect(entries > 0 && entries <= 4 * 100, "\(entries) entries")
    }
}
