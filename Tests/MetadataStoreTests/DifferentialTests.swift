import MetadataModel
import RaftCore
import SimulatedDisk
import Testing

@testable import MetadataStore

/// The database and the plain state machine in memory get the same log and have to agree on every command of it.
///
/// Two databases take part, with borders of batches of their own, on simulated disks; one is killed, checkpointed and
/// loses power now and then. To repeat a seed: put it into `fixedSeeds`.
@Suite("The database against the reference")
struct DifferentialTests {
    private static let fixedSeeds: [UInt64] = [1, 2, 3]
    private static let entriesPerSeed = 3_000

    @Test(
        "every outcome, every event, every answer and the bytes of the dump agree, whatever the batches",
        arguments: fixedSeeds)
    func fixed(seed: UInt64) throws {
        let seen = try compare(seed)
        #expect(seen.refusals > 100 && seen.reasons > 3, "the log of seed \(seed) is too tame")
        #expect(seen.disturbances > 2, "seed \(seed)")
    }

    @Test("seeds drawn anew at each run agree as well")
    func randomSeeds() throws {
        let first = UInt64.random(in: 1_000_000..<1_000_000_000)
        print("database against reference: seeds from \(first)")
        let end = ContinuousClock.now + .seconds(8)
        var seed = first
        while ContinuousClock.now < end {
            _ = try compare(seed)
            seed += 1
        }
        print("database against reference: \(seed - first) seeds from \(first) agree")
    }

    /// Returns what happened, to be looked at where it is the same each time.
    private func compare(_ seed: UInt64) throws -> (refusals: Int, reasons: Int, disturbances: Int) {
        var log = RandomLog(seed: seed)
        var random = SeededGenerator(seed: seed &+ 1)
        var calm = Candidate(seed: seed, isDisturbed: false)
        var disturbed = Candidate(seed: seed &+ 2, isDisturbed: true)
        // Follows the log entry by entry, to tell what each did.
        var reference = Reference()
        var expected: [UInt64: Applied] = [:]
        var refusals = 0
        var reasons: Set<Refusal.Reason> = []
        while log.reference.applied.index.rawValue < Self.entriesPerSeed {
            let entries = log.entries(100 + random.below(400))
            for entry in entries {
                guard let applied = reference.apply(entry) else { continue }
                expected[entry.index.rawValue] = applied
                if case .refused(let refusal) = applied.outcome {
                    refusals += 1
                    reasons.insert(refusal.reason)
                }
            }
            try calm.apply(entries, expecting: expected)
            try disturbed.apply(entries, expecting: expected)
            let dump = try calm.compare(with: &log)
            #expect(try disturbed.compare(with: &log) == dump, "seed \(seed), at \(log.reference.applied.index)")
        }
        return (refusals, reasons.count, disturbed.disturbances)
    }

    @Test(
        "the same log gives the same bytes in three processes, whatever the batches (time, random, map order in apply)")
    func threeProcesses() async throws {
        var lines: Set<Substring> = []
        for _ in 0..<3 {
            // A process of its own each: hashing is seeded anew, and the batches are drawn from the system's generator.
            let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                var log = RandomLog(seed: 71)
                let vfs = SimulatedVFS(seed: 71)
                let store = try MetadataStore(path: "/db", fileSystem: vfs)
                var rest = log.entries(2_000)[...]
                while !rest.isEmpty {
                    let batch = rest.prefix(Int.random(in: 1...90))
                    _ = try store.apply(Array(batch))
                    rest = rest.dropFirst(batch.count)
                }
                _ = try store.writeSnapshot(to: "/dump")
                let dump = vfs.volume.contents("/dump") ?? []
                print("dump of \(dump.count) bytes: \(Checksum.crc32(dump)), digest \(store.digest)")
            }
            let output = try #require(run).standardOutputContent
            let text = String(decoding: output, as: UTF8.self)
            lines.insert(try #require(text.split(separator: "\n").first { $0.hasPrefix("dump of ") }))
        }
        #expect(lines.count == 1, "\(lines)")
    }
}

/// A database that takes part.
private struct Candidate {
    private let vfs: SimulatedVFS
    private var store: MetadataStore?
    private var random: SeededGenerator
    private let isDisturbed: Bool
    private(set) var disturbances = 0
    /// What was applied since the last checkpoint, to be applied again after a loss of power.
    private var unsynced: [Entry] = []

    init(seed: UInt64, isDisturbed: Bool) {
        vfs = SimulatedVFS(seed: seed)
        random = SeededGenerator(seed: seed)
        self.isDisturbed = isDisturbed
    }

    private mutating func running() throws -> MetadataStore {
        if let store { return store }
        let opened = try MetadataStore(path: "/db", fileSystem: vfs)
        store = opened
        return opened
    }

    mutating func apply(_ entries: [Entry], expecting expected: [UInt64: Applied]) throws {
        unsynced += entries
        let end = entries.last?.index
        while let end, try running().applied.index < end {
            let applied = try running().applied
            let waiting = unsynced.drop { $0.index <= applied.index }
            let batch = Array(waiting.prefix(1 + random.below(random.below(4) == 0 ? 200 : 12)))
            let done = try running().apply(batch)
            let commands = batch.filter { $0.kind == .command }.map { expected[$0.index.rawValue] }
            #expect(done.outcomes.map(\.outcome) == commands.map { $0?.outcome }, "at \(applied.index)")
            #expect(done.outcomes.map(\.index) == batch.filter { $0.kind == .command }.map(\.index))
            #expect(done.events == commands.compactMap { $0?.event }, "at \(applied.index)")
            if isDisturbed { try disturb() }
        }
    }

    private mutating func disturb() throws {
        switch random.below(40) {
        case 0:
            vfs.volume.endProcess()
            store = nil
        case 1:
            vfs.volume.losePower(&random)
            store = nil
        case 2, 3:
            let durable = try running().checkpoint()
            unsynced.removeAll { $0.index <= durable.index }
        default:
            return
        }
        disturbances += 1
    }

    /// Compares the whole state with the reference's; returns the dump.
    mutating func compare(with log: inout RandomLog) throws -> [UInt8] {
        let store = try running()
        #expect(store.digest == log.reference.machine.digest)
        #expect(store.version == log.reference.machine.version)
        #expect(store.logTimeMilliseconds == log.reference.machine.logTimeMilliseconds)
        #expect(try store.brokers() == log.reference.machine.storage.brokers())
        #expect(store.partitionTally == PartitionTally(counting: log.reference.machine.storage))
        let reader = try store.makeReader()
        let queries = log.queries()
        for (query, answer) in zip(queries, try reader.answer(queries).results) {
            #expect(answer == log.reference.answer(query), "at \(log.reference.applied.index), \(query)")
        }
        try reader.close()
        #expect(try store.scrub().isSound)
        _ = try store.writeSnapshot(to: "/dump")
        return vfs.volume.contents("/dump") ?? []
    }
}

extension PartitionTally {
    fileprivate init(counting storage: ReferenceStorage) {
        self.init()
        for partition in storage.partitions(.all, after: nil, limit: .max) { moved(from: nil, to: partition) }
    }
}
