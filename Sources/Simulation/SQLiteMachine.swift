package import MetadataModel
internal import MetadataStore
package import RaftCore
package import Replica
internal import SimulatedDisk

/// The shipped store on SQLite as a node's state machine, on a volume of its own that loses what was not synced.
package final class SQLiteMachine: SimulatedStateMachine {
    private let vfs: SimulatedVFS
    /// Nil while no process runs.
    private var process: (store: MetadataStore, reader: MetadataReader)?

    private static let database = "/data/state.db"
    private static let outgoing = "/data/outgoing"
    private static let incoming = "/data/incoming"

    private static let options: StoreOptions = {
        var options = StoreOptions()
        // The process has the memory to itself no more.
        options.writerCacheBytes = 2 << 20
        options.readerCacheBytes = 512 << 10
        // Short, so that watches ask for what it has let go of, and so that the WAL begins again.
        options.feedRowsMax = ReferenceImage.feedEventsMax
        options.walFramesRestart = 100
        return options
    }()

    package init(seed: UInt64) { vfs = SimulatedVFS(seed: seed) }

    deinit { vfs.volume.endProcess() }

    package func start() throws(StateMachineFailure) {
        precondition(process == nil, "a second process starts on the same disk")
        try translating { () throws(StoreError) in
            // As shipped: nobody goes on with what a transfer left behind.
            try vfs.removeIfExists(Self.outgoing)
            try vfs.removeIfExists(Self.incoming)
            let store = try MetadataStore(path: Self.database, options: Self.options, fileSystem: vfs)
            process = (store, try store.makeReader())
        }
    }

    package func stop() {
        // In this order: connections that are let go of do nothing to the disk any more, as when a process is killed.
        vfs.volume.endProcess()
        process = nil
    }

    // MARK: What goes wrong

    package func losePower(_ generator: inout SeededGenerator) {
        precondition(process == nil, "a process still runs on a machine without power")
        vfs.volume.losePower(&generator)
    }

    package func interrupt(_ generator: inout SeededGenerator) {
        // A batch of some entries is a dozen writes, a checkpoint some dozens, an install more than a hundred.
        vfs.volume.powerFailsAfter = generator.below([16, 60, 300][generator.below(3)])
    }

    package func limitRoom(_ bytes: Int?) {
        vfs.volume.capacityBytes = bytes.map { vfs.volume.usedBytes + $0 } ?? .max
    }

    package func failSync(after count: Int?) { vfs.volume.syncFailsAfter = count }

    // MARK: State

    package var applied: LogPosition { store.applied }
    package var committed: LogPosition { store.committed }
    package var configuration: Configuration? { store.configuration }
    package var digest: UInt64 { store.digest }

    package func recomputedDigest() throws(StateMachineFailure) -> UInt64 {
        let store = store
        let scrub = try translating { () throws(StoreError) in
            try store.commit()
            return try store.scrub()
        }
        if let problem = scrub.problem { throw StateMachineFailure(.damage, problem) }
        return scrub.recomputed
    }

    package func image() throws(StateMachineFailure) -> StateMachineImage {
        let store = store
        return try translating { () throws(StoreError) in
            try store.commit()
            return StateMachineImage(
                applied: store.applied, version: store.version, logTimeMilliseconds: store.logTimeMilliseconds,
                brokers: try store.brokers(),
                silences: BrokerSilences(text: try store.clusterConfig(BrokerSilences.configName)),
                unfinished: UnfinishedWork(text: try store.clusterConfig(UnfinishedWork.configName)))
        }
    }

    // MARK: Work

    package func apply(_ entries: [Entry]) throws(StateMachineFailure) -> AppliedEntries {
        let store = store
        let batch = try translating { () throws(StoreError) in try store.stage(entries) }
        return AppliedEntries(
            report: AppliedReport(
                applied: batch.applied, version: batch.version, logTimeMilliseconds: batch.logTimeMilliseconds,
                outcomes: batch.outcomes.map { AppliedReport.Outcome(index: $0.index, outcome: $0.outcome) },
                events: batch.events, digests: batch.digests),
            events: batch.events)
    }

    package func answer(_ query: Query) throws(StateMachineFailure) -> QueryResult {
        guard let reader = process?.reader else { preconditionFailure("a process that does not run was asked") }
        let store = store
        let answers = try translating { () throws(StoreError) in
            try store.commit()
            return try reader.answer([query])
        }
        return answers.results[0]
    }

    package func checkpoint() throws(StateMachineFailure) -> LogPosition {
        let store = store
        return try translating { () throws(StoreError) in
            try store.commit()
            return try store.checkpoint()
        }
    }

    package func snapshot() throws(StateMachineFailure) -> SimulatedSnapshot {
        let store = store
        let file = try translating { () throws(StoreError) in
            try store.commit()
            return try store.writeSnapshot(to: Self.outgoing)
        }
        guard let configuration = file.configuration, let bytes = vfs.volume.contents(Self.outgoing) else {
            throw StateMachineFailure(.lack, "no configuration was applied yet")
        }
        try translating { () throws(StoreError) in try vfs.removeIfExists(Self.outgoing) }
        return SimulatedSnapshot(position: file.position, configuration: configuration, content: .file(bytes))
    }

    package func install(_ snapshot: SimulatedSnapshot) throws(StateMachineFailure) {
        guard case .file(let bytes) = snapshot.content else {
            throw StateMachineFailure(.lack, "the snapshot is not a file of the store")
        }
        let store = store
        vfs.volume.store(bytes, at: Self.incoming)
        try translating { () throws(StoreError) in _ = try store.installSnapshot(from: Self.incoming) }
    }

    // MARK: Helpers

    private var store: MetadataStore {
        guard let process else { preconditionFailure("a process that does not run was asked") }
        return process.store
    }

    private func translating<Value>(
        _ body: () throws(StoreError) -> Value
    ) throws(StateMachineFailure) -> Value {
        do throws(StoreError) {
            return try body()
        } catch {
            throw StateMachineFailure(error.isRetriable ? .lack : error.isDamage ? .damage : .disk, "\(error)")
        }
    }
}
