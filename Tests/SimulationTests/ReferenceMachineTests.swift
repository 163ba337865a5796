import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Simulation

/// The state machine in memory behaves like a database with a WAL.
@Suite("The reference state machine of a simulated node")
struct ReferenceMachineTests {
    private let configuration = Configuration(
        voters: [Member(id: NodeID(1), disk: .unknown, peerAddress: "", clientAddress: "")])

    /// Index 1 names the members; each further one sets a key of the cluster.
    private func entry(_ index: UInt64) -> Entry {
        guard index > 1 else {
            return Entry(
                term: Term(1), index: LogIndex(1), kind: .configuration, payload: configuration.encoded())
        }
        let command = Command.alterConfigs(
            .init(resource: .cluster, changes: [ConfigChange(name: "user.k", value: "\(index)")]))
        let payload = LogEnvelope(
            timeMilliseconds: index, session: nil, sequence: 0, acknowledgedBelow: 0,
            commandBytes: command.schemaBytes()
        ).encoded()
        return Entry(term: Term(1), index: LogIndex(index), kind: .command, payload: payload)
    }

    private func machine(checkpointAt checkpoint: UInt64, appliedTo last: UInt64) throws -> ReferenceMachine {
        let machine = ReferenceMachine()
        machine.start()
        for index in 1...last {
            _ = try machine.apply([entry(index)])
            if index == checkpoint { #expect(try machine.checkpoint().index == LogIndex(checkpoint)) }
        }
        return machine
    }

    @Test("a process that ends loses nothing; a loss of power goes back to a batch that is not before the checkpoint")
    func losses() throws {
        var seen: Set<UInt64> = []
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<60 {
            let machine = try machine(checkpointAt: 4, appliedTo: 8)
            machine.stop()
            machine.start()
            #expect(machine.applied.index == LogIndex(8))
            machine.stop()
            machine.losePower(&generator)
            seen.insert(machine.applied.index.rawValue)
        }
        #expect(seen == [4, 5, 6, 7, 8])
    }

    @Test("a batch that was lost is applied again to the same digest")
    func replay() throws {
        let whole = try machine(checkpointAt: 2, appliedTo: 8)
        var generator = SeededGenerator(seed: 1)
        let machine = try machine(checkpointAt: 4, appliedTo: 8)
        machine.stop()
        machine.losePower(&generator)
        machine.start()
        while machine.applied.index < LogIndex(8) {
            _ = try machine.apply([entry(machine.applied.index.next.rawValue)])
        }
        #expect(machine.digest == whole.digest)
        #expect(machine.configuration == configuration)
    }

    @Test("a snapshot that was installed survives, and watches begin anew behind it")
    func snapshot() throws {
        let source = try machine(checkpointAt: 2, appliedTo: 8)
        let target = ReferenceMachine()
        target.start()
        try target.install(try source.snapshot())
        target.stop()
        var generator = SeededGenerator(seed: 5)
        target.losePower(&generator)
        target.start()
        #expect(target.applied == source.applied)
        #expect(target.digest == source.digest)
        guard
            case .changes(.tooOld(let oldest)) = target.answer(
                .changes(after: Version(3), filter: WatchFilter(), limit: 10))
        else {
            Issue.record("changes from before the snapshot were answered")
            return
        }
        #expect(oldest == Version(8))
    }
}
