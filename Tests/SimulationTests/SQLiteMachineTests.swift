import MetadataModel
import MetadataSchema
import RaftCore
import Replica
import Testing

@testable import Simulation

/// The shipped store behaves as the reference does behind the same protocol.
@Suite("The SQLite state machine of a simulated node")
struct SQLiteMachineTests {
    private let configuration = Configuration(
        voters: [Member(id: NodeID(1), disk: .unknown, peerAddress: "", clientAddress: "")])

    /// Index 1 names the members; each further one sets a key of the cluster, or asks for what is refused.
    private func entry(_ index: UInt64) -> Entry {
        guard index > 1 else {
            return Entry(term: Term(1), index: LogIndex(1), kind: .configuration, payload: configuration.encoded())
        }
        let command =
            index % 5 == 0
            ? Command.deleteTopic(topic: .name("missing"), ifVersion: nil)
            : .alterConfigs(
                .init(resource: .cluster, changes: [ConfigChange(name: "user.k\(index % 7)", value: "\(index)")]))
        let payload = LogEnvelope(
            timeMilliseconds: index, session: nil, sequence: 0, acknowledgedBelow: 0,
            commandBytes: command.schemaBytes()
        ).encoded()
        return Entry(term: Term(1), index: LogIndex(index), kind: .command, payload: payload)
    }

    /// Applies entry by entry up to `last`.
    private func replay(_ machine: SQLiteMachine, through last: UInt64) throws {
        while machine.applied.index < LogIndex(last) {
            _ = try machine.apply([entry(machine.applied.index.rawValue + 1)])
        }
    }

    @Test("it agrees with the reference in reports, events and digests, through kills and losses of power")
    func agrees() throws {
        var wentBack = 0
        for seed in 0..<UInt64(10) {
            var random = SeededGenerator(seed: seed)
            let (database, reference) = (SQLiteMachine(seed: seed), ReferenceMachine())
            try database.start()
            reference.start()
            var durable = LogIndex.zero
            var digests: [LogIndex: UInt64] = [.zero: database.digest]
            while reference.applied.index < LogIndex(120) {
                let next = reference.applied.index.rawValue + 1
                let batch = (next..<next + 1 + UInt64(random.below(9))).map { entry($0) }
                let (one, other) = (try database.apply(batch), try reference.apply(batch))
                #expect(one.report == other.report, "seed \(seed), \(next)")
                #expect(one.events == other.events)
                #expect(database.digest == reference.digest)
                #expect(try database.answer(.summary) == reference.answer(.summary))
                digests[reference.applied.index] = reference.digest
                switch random.below(8) {
                case 0:
                    durable = try database.checkpoint().index
                case 1:
                    database.stop()
                    try database.start()
                    #expect(database.applied == reference.applied)
                case 2:
                    database.stop()
                    database.losePower(&random)
                    try database.start()
                    #expect(database.applied.index >= durable)
                    #expect(database.digest == digests[database.applied.index], "seed \(seed)")
                    if database.applied != reference.applied { wentBack += 1 }
                    while database.applied.index < reference.applied.index {
                        try replay(database, through: database.applied.index.rawValue + 1)
                        digests[database.applied.index] = database.digest
                    }
                    #expect(database.digest == reference.digest, "seed \(seed)")
                    #expect(try database.image() == reference.image())
                    #expect(try database.recomputedDigest() == reference.recomputedDigest())
                default:
                    break
                }
            }
        }
        #expect(wentBack > 3)
    }

    @Test("a snapshot that was installed survives a loss of power; one of the reference is refused")
    func snapshot() throws {
        let (source, target) = (SQLiteMachine(seed: 1), SQLiteMachine(seed: 2))
        try source.start()
        try target.start()
        try replay(source, through: 30)
        try target.install(try source.snapshot())
        #expect(target.digest == source.digest)
        target.stop()
        var random = SeededGenerator(seed: 3)
        target.losePower(&random)
        try target.start()
        #expect(target.applied == source.applied)
        #expect(target.digest == source.digest)
        #expect(target.configuration == configuration)
        let reference = ReferenceMachine()
        reference.start()
        _ = try reference.apply([entry(1)])
        #expect(throws: StateMachineFailure.self) { try target.install(try reference.snapshot()) }
    }

    @Test("what the end of the process interrupts has happened whole or not at all, and a batch that fails has not")
    func interruptions() throws {
        var (happened, failed) = (0, 0)
        var random = SeededGenerator(seed: 7)
        let source = SQLiteMachine(seed: 1)
        try source.start()
        try replay(source, through: 40)
        let snapshot = try source.snapshot()
        for seed in 2..<UInt64(40) {
            let machine = SQLiteMachine(seed: seed)
            try machine.start()
            try replay(machine, through: 12)
            machine.interrupt(&random)
            // What fails may have come as far as the disk.
            var expected = [machine.committed.index]
            do throws(StateMachineFailure) {
                switch seed % 3 {
                case 0:
                    expected.append(LogIndex(20))
                    _ = try machine.apply((13...20).map { entry($0) })
                    _ = try machine.recomputedDigest()
                    expected = [LogIndex(20)]
                case 1:
                    expected.append(LogIndex(12))
                    _ = try machine.checkpoint()
                    expected = [LogIndex(12)]
                default:
                    // The checkpoint behind the install may fail: then the node ends, and finds the snapshot installed.
                    expected += [LogIndex(12), LogIndex(40)]
                    try machine.install(snapshot)
                    expected = [LogIndex(40)]
                }
                happened += 1
            } catch {
                #expect(error.kind == .disk)
                failed += 1
            }
            machine.stop()
            try machine.start()
            #expect(expected.contains(machine.applied.index), "seed \(seed)")
            #expect(try machine.recomputedDigest() == machine.digest)
        }
        #expect(happened > 5 && failed > 5, "\(happened) happened, \(failed) failed")
    }

    @Test("without room it waits, and goes on when there is some; after a failed sync it makes no checkpoint any more")
    func faults() throws {
        let machine = SQLiteMachine(seed: 5)
        try machine.start()
        try replay(machine, through: 12)
        machine.limitRoom(100)
        try replay(machine, through: 400)
        for _ in 0..<2 {
            let full = #expect(throws: StateMachineFailure.self) { try machine.recomputedDigest() }
            #expect(full?.kind == .lack)
        }
        machine.limitRoom(nil)
        #expect(try machine.recomputedDigest() == machine.digest)
        machine.failSync(after: 0)
        for _ in 0..<2 {
            let failure = #expect(throws: StateMachineFailure.self) { try machine.checkpoint() }
            #expect(failure?.kind == .disk)
        }
    }
}
