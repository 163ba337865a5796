import MetadataModel
import Testing

@Suite("random commands")
struct InvariantTests {
    @Test(
        "after every command each invariant of the metadata holds, and epochs only grow", arguments: UInt64(1)...12)
    func invariants(seed: UInt64) {
        var model = Model()
        var commands = RandomCommands(seed: seed)
        var done = 0
        var epochs: [PartitionKey: Partition] = [:]
        var brokerEpochs: [BrokerID: BrokerEpoch] = [:]
        for step in 0..<600 {
            model.timeMilliseconds += UInt64(commands.number(0..<50))
            let versionBefore = model.machine.version
            let before = model.storage.digest()
            let applied = model.applyEntry(commands.next(model))
            let comment = "seed \(seed), step \(step)"
            model.checkInvariants(comment)
            if applied.outcome.refusal == nil { done += 1 }
            #expect(
                (applied.event != nil) <= (model.machine.version != versionBefore), "\(comment): an event, no version")
            #expect(
                (model.storage.digest() != before) == (model.machine.version != versionBefore),
                "\(comment): version and rows do not move together")
            for case .partitionChanged(let partition, _) in applied.event?.changes ?? [] {
                if let old = epochs[partition.key] {
                    #expect(partition.partitionEpoch == old.partitionEpoch + 1, "\(comment): partition epoch")
                    let isNewTerm =
                        partition.leader != old.leader || !old.replicas.allSatisfy { partition.replicas.contains($0) }
                    #expect(
                        partition.leaderEpoch == old.leaderEpoch + (isNewTerm ? 1 : 0), "\(comment): leader epoch")
                }
                epochs[partition.key] = partition
            }
            for case .brokerChanged(let broker) in applied.event?.changes ?? [] {
                if let old = brokerEpochs[broker.id] { #expect(broker.epoch >= old, "\(comment): broker epoch") }
                brokerEpochs[broker.id] = broker.epoch
            }
        }
        #expect(done > 200, "seed \(seed): only \(done) of 600 commands were done, the test sees too little")
    }

    @Test("the check of the invariants finds what it is for (planted damage)")
    func planted() {
        var model = Model()
        model.addBrokers(1...3)
        model.createTopic("orders", id: 1, assignment: [[1, 2]])
        #expect(model.violations() == [])
        func after(_ damage: (inout Partition) -> Void) -> [String] {
            var damaged = model
            guard let before = damaged.partition(1, 0) else { return [] }
            var partition = before
            damage(&partition)
            damaged.machine.storage.apply(.partition(before: before, after: partition))
            return damaged.violations()
        }
        let digest = "the digest is not the sum over all rows"
        #expect(after { $0.leaderEpoch = 9 } == [digest])
        #expect(after { $0.isr = .init(2) } == ["orders-0: the leader is not in the ISR", digest])
        #expect(
            after { $0.isr = .init(2, 1) } == ["orders-0: the ISR is no part of the replicas in their order", digest])
        #expect(after { $0.replicas = .init(1, 2, 9) } == ["orders-0: a replica is not registered", digest])
        #expect(
            after { $0.eligibleLeaders = .init(2) } == [
                "orders-0: a member of the ISR is an eligible leader beside it",
                "orders-0: eligible leaders beside an ISR of 2 that is large enough", digest,
            ])
        #expect(
            after { $0.adding = .init(2) } == [
                "orders-0: a reassignment is under way that could be complete", digest,
            ])
        #expect(
            after { $0.removing = .init(3) } == [
                "orders-0: a replica is added or removed that is none, or both",
                "orders-0: a reassignment is under way that could be complete", digest,
            ])
        #expect(
            after { $0.leader = nil } == [
                "orders-0: offline with 2 members in the ISR", "orders-0: offline with an active member", digest,
            ])
        var fenced = model
        if let before = fenced.storage.broker(BrokerID(1)) {
            var broker = before
            broker.state = .fenced
            fenced.machine.storage.apply(.broker(before: before, after: broker))
        }
        #expect(
            fenced.violations() == [
                "orders-0: the leader is not active", "orders-0: a fenced broker is in the ISR", digest,
            ])
    }

    @Test(
        "the same log gives the same state, digest and rows to write, however it is cut into batches",
        arguments: [1, 2, 3])
    func batches(seed: UInt64) {
        var model = Model()
        var commands = RandomCommands(seed: seed)
        guard case .done(.session(let session)) = model.apply(.openSession(timeoutMilliseconds: 60_000)) else {
            Issue.record("no session")
            return
        }
        for sequence in UInt64(0)..<400 {
            model.timeMilliseconds += UInt64(commands.number(0..<50))
            let command = commands.next(model)
            model.applyEntry(
                command, session: commands.number(0..<2) == 0 ? session : nil, sequence: sequence / 2,
                acknowledgedBelow: sequence / 2 > 20 ? sequence / 2 - 20 : 0)
        }
        var other = StateMachine(storage: ReferenceStorage())
        var stored: [SessionID: SessionState] = [:]
        for (offset, entry) in model.log.enumerated() {
            _ = other.apply(index: UInt64(offset + 1), entry)
            guard commands.number(0..<5) == 0 || offset + 1 == model.log.count else { continue }
            // A batch ends: its sessions are stored, and half of the time the node restarts from what is stored.
            let changes = other.takeSessionChanges()
            for state in changes.touched { stored[state.session.id] = state }
            for id in changes.removed { stored[id] = nil }
            guard commands.number(0..<2) == 0 else { continue }
            other = StateMachine(
                storage: other.storage,
                sessions: SessionTable(restoring: stored.values.sorted { $0.session.id < $1.session.id }),
                version: other.version, digest: other.digest, logTimeMilliseconds: other.logTimeMilliseconds)
        }
        #expect(other.digest == model.machine.digest)
        #expect(other.version == model.machine.version)
        #expect(other.logTimeMilliseconds == model.machine.logTimeMilliseconds)
        #expect(other.sessions.states() == model.machine.sessions.states())
        #expect(stored.values.sorted { $0.session.id < $1.session.id } == model.machine.sessions.states())
        #expect(other.storage.digest() == model.storage.digest())
    }

    @Test("a log gives the same digest in every process and build (pitfall: map order in apply)")
    func goldenDigest() {
        var model = Model()
        var commands = RandomCommands(seed: 42)
        for _ in 0..<500 {
            model.timeMilliseconds += UInt64(commands.number(0..<50))
            model.apply(commands.next(model))
        }
        #expect(model.machine.digest == 0x099d_3c4a_2b12_a2cb)
    }
}

extension Bool {
    /// Implication.
    fileprivate static func <= (lhs: Bool, rhs: Bool) -> Bool { !lhs || rhs }
}
