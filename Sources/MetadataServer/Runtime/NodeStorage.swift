import Coordination
import Foundation
import Logging
import MetadataModel
import MetadataStore
import NIOCore
import RaftCore
import RaftLog
import Replica
import Resilience
import Synchronization
import Telemetry
import Wire

/// An answer of the reader thread, ready to be sent.
enum EncodedAnswer: Sendable {
    case reply(connection: UInt64, request: UInt64, OperationStatus, ByteBuffer)
    /// Not encoded yet: the loop knows more of the request.
    case failure(connection: UInt64, request: UInt64, ServiceFailure)
    case catchUp(watch: WatchKey, ticket: UInt64, ChangePage)
}

/// The threads that block so that the node loop does not: log, apply, readers, and one for what takes long. Each hands its
/// results to the loop, a batch at a time.
final class NodeStorage: Sendable {
    let restored: RestoredState
    let image: StateMachineImage
    let store: MetadataStore
    let snapshotDirectory: String
    let dataDirectory: String
    let disk: DiskID

    private let logThread: BatchWorker<LogJob>
    private let applyThread: BatchWorker<ApplyJob>
    private let readThread: BatchWorker<ReadJob>
    /// Used on `readThread` alone.
    private let reader: MetadataReader
    /// Reads and plans for the coordinator, which may take seconds.
    private let surveyor: Mutex<Surveyor>
    private let background: BatchWorker<@Sendable () -> Void>
    /// Reads all rows now and then, and takes its time.
    private let scrubber: BatchWorker<@Sendable () -> Void>
    /// Asks the file system how much room there is; a disk that hangs holds up nothing else.
    private let watcher: BatchWorker<@Sendable () -> Void>
    /// Around what is done to the database besides applying and reading: it comes back by itself, as often as it fails.
    let upkeep: SharedCircuitBreaker
    private let reads: Recency
    private static let readsArePending = TimeAmount.milliseconds(50)
    private let isStopping = Atomic(false)
    let logMetrics: LogReading

    /// - Parameters:
    ///   - breaker: keeps reads off a database that fails, so that their clients learn it at once and ask elsewhere.
    ///   - upkeep: has checkpoints, scrubs and copies rest when they fail again and again.
    ///   - syncDuration: how long each sync of the log took.
    init(
        opened: OpenedStorage, loop: any EventLoop, breaker: SharedCircuitBreaker, upkeep: SharedCircuitBreaker,
        syncDuration: HistogramHandle
    ) throws {
        self.upkeep = upkeep
        self.restored = opened.restored
        self.image = opened.image
        self.store = opened.store
        self.snapshotDirectory = opened.directory.snapshotDirectory
        self.disk = opened.directory.identity.diskID
        let reading = LogReading(syncDuration: syncDuration)
        self.logMetrics = reading
        let outbox = Outbox(loop: loop)
        self.outbox = outbox
        let store = opened.store

        let dataDirectory = opened.directory.root
        self.dataDirectory = dataDirectory
        let log = HandedOver(opened.log)
        logThread = BatchWorker(name: "metad-log") { jobs in
            log.value.perform(jobs, makeRoom: { DataDirectory.releaseReserve(path: dataDirectory) }) { outcome in
                reading.update(log.value.metrics)
                outbox.send { $0.finished(outcome) }
            }
        }
        self.held = HandedOver((log: opened.log, directory: opened.directory))
        let reads = Recency(NodeStorage.readsArePending)
        self.reads = reads
        applyThread = BatchWorker(name: "metad-apply") { jobs in
            for job in jobs {
                guard let result = store.perform(job) else { continue }
                outbox.send { $0.finished(result) }
            }
            // Where somebody reads, the next read need not wait for a commit.
            guard store.isStaged, reads.isRecent else { return }
            _ = store.perform(.commit { error in if let error { outbox.send { $0.committed(error) } } })
        }
        let reader = try store.makeReader()
        self.reader = reader
        readThread = BatchWorker(name: "metad-read") { jobs in
            for slice in ReadJob.slices(of: jobs) {
                let (answers, failure) = NodeStorage.answerOrRefuse(slice, with: reader, through: breaker)
                outbox.send { $0.answered(answers, failure: failure) }
            }
        }
        surveyor = Mutex(try NodeStorage.makeSurveyor(store, outbox))
        scrubber = BatchWorker(name: "metad-scrub") { jobs in
            for job in jobs { job() }
        }
        watcher = BatchWorker(name: "metad-disk") { jobs in
            for job in jobs { job() }
        }
        background = BatchWorker(name: "metad-background") { jobs in
            for job in jobs { job() }
        }
    }

    private let outbox: Outbox
    /// Closed when the threads have ended.
    private let held: HandedOver<(log: LogThreadLog, directory: OpenDataDirectory)>

    func connect(to node: NIOLoopBound<Node>) { outbox.connect(node) }

    /// The node is not needed any more, and nobody else is told what is still under way.
    func disconnect() { outbox.disconnect() }

    // These answer when what was asked for before is done, on the thread that is meant.

    func probeLog(_ answer: @escaping @Sendable () -> Void) { logThread.probe(answer) }

    func probeWriter(_ answer: @escaping @Sendable (Result<CacheStatistics, StoreError>) -> Void) {
        let store = store
        applyThread.probe { answer(Result { () throws(StoreError) in try store.probeWriter() }) }
    }

    func probeReader(_ answer: @escaping @Sendable (Result<CacheStatistics, StoreError>) -> Void) {
        let reader = reader
        readThread.probe { answer(Result { () throws(StoreError) in try reader.probe() }) }
    }

    /// What waits for each thread.
    var queueDepths: [(name: String, count: Int)] {
        [
            ("log", logThread.depth), ("apply", applyThread.depth), ("read", readThread.depth),
            ("survey", surveyor.withLock { $0 }.thread.depth), ("background", background.depth),
            ("scrub", scrubber.depth),
            ("disk", watcher.depth),
        ]
    }
    /// From any thread.
    func onLoop(_ body: @escaping @Sendable (Node) -> Void) { outbox.send(body) }

    func write(_ persist: Persist) { logThread.submit(.write(persist)) }
    func compactLog(to position: LogPosition) { logThread.submit(.compact(position)) }
    func apply(_ entries: [Entry]) { applyThread.submit(.apply(entries)) }
    func install(_ snapshot: IncomingSnapshot, path: String) { applyThread.submit(.install(path: path, snapshot)) }

    /// Commits what was applied; whoever asks for something that was applied waits for it.
    func commit(then done: @escaping @Sendable (StoreError?) -> Void) { applyThread.submit(.commit(then: done)) }

    func read(_ jobs: [ReadJob]) {
        reads.note()
        guard store.isStaged else { return readThread.submit(contentsOf: jobs) }
        commit { [readThread, outbox] error in
            guard let error else { return readThread.submit(contentsOf: jobs) }
            let answers = jobs.map { NodeStorage.failed($0, "the database cannot be written", cause: "\(error)") }
            outbox.send { $0.answered(answers, failure: error) }
        }
    }

    func survey(_ request: SurveyRequest) {
        guard store.isStaged else { return surveyor.withLock { $0 }.thread.submit(request) }
        commit { [self] error in
            guard let error else { return surveyor.withLock { $0 }.thread.submit(request) }
            outbox.send { $0.surveyed(.failure(error), request) }
        }
    }

    /// A thread that reads for the coordinator, on a connection of its own.
    private struct Surveyor: Sendable {
        let thread: BatchWorker<SurveyRequest>
        let reader: MetadataReader
    }

    private static func makeSurveyor(_ store: MetadataStore, _ outbox: Outbox) throws(StoreError) -> Surveyor {
        let reader = try store.makeReader()
        let thread = BatchWorker<SurveyRequest>(name: "metad-survey") { requests in
            for request in requests {
                let report = Result { () throws(StoreError) in
                    try reader.answer { (ask) throws(StoreError) in try request.answer(ask) }
                }
                outbox.send { $0.surveyed(report, request) }
            }
        }
        return Surveyor(thread: thread, reader: reader)
    }

    // MARK: Supervision

    /// Since when the thread of this part is busy with the same batch; nil when it is not.
    func busySince(_ part: Supervision.Part) -> NIODeadline? {
        switch part {
        case .survey: surveyor.withLock { $0 }.thread.busySince
        case .read: readThread.busySince
        case .background: background.busySince
        }
    }

    /// Another thread, with a connection of its own, takes the place of the one that hangs. What that one was asked is not asked
    /// again here; its answer, should it come, is recognized as an old one.
    func replaceSurveyor() throws(StoreError) {
        let fresh = try NodeStorage.makeSurveyor(store, outbox)
        let stuck = surveyor.withLock { current in
            defer { current = fresh }
            return current
        }
        stuck.thread.abandon()
    }

    func resumeLog() { logThread.submit(.resume) }

    /// Compares the rows with their digest. At most a quarter of a thread's time: each slice is followed by a rest three times
    /// as long.
    func scrub() {
        let store = store
        scrubber.submit { [self] in
            let clock = ContinuousClock()
            var sliceBegan = clock.now
            let result = upkeep.around("scrub") { () throws(StoreError) in
                try store.scrub(
                    pace: {
                        Thread.sleep(forTimeInterval: 3 * ((clock.now - sliceBegan) / .seconds(1)))
                        sliceBegan = clock.now
                    }, isCancelled: { self.isStopping.load(ordering: .relaxed) })
            }
            outbox.send { $0.scrubbed(result) }
        }
    }

    /// Measures the room; below the high mark nothing is set aside for later.
    func measureDisk(reserveBytes: Int, highBytes: UInt64) {
        let path = dataDirectory
        watcher.submit { [outbox] in
            var sizes = DirectorySizes(of: path)
            guard let free = DataDirectory.freeBytes(path: path) else { return }
            sizes.free = free
            outbox.send { [sizes] in $0.diskMeasured(sizes) }
            guard reserveBytes > 0, free >= highBytes + UInt64(reserveBytes) else { return }
            let made = Result { () throws(DataDirectoryError) in
                try DataDirectory.makeReserve(path: path, bytes: reserveBytes)
            }
            if case .failure(let error) = made { outbox.send { $0.reserveFailed(error) } }
        }
    }

    func checkpoint() {
        let store = store
        commit { [upkeep, background, applyThread, outbox] error in
            if let error { return outbox.send { $0.checkpointed(.failure(error)) } }
            background.submit {
                // The bulk is copied beside the writer; then it is held up for little.
                let result = upkeep.around("checkpoint") { () throws(StoreError) in try store.checkpoint(.passive) }
                if case .success = result, store.isWALLong { return applyThread.submit(.restartWAL) }
                outbox.send { $0.checkpointed(result) }
            }
        }
    }

    /// Gives back the pages that connections keep. What is needed again is read again.
    func releaseMemory() {
        let (store, reader) = (store, reader)
        applyThread.probe { store.releaseMemory() }
        readThread.probe { reader.releaseMemory() }
    }

    /// Runs `work` where it may take long and block, then `done` on the node loop.
    func inBackground<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value, then done: @escaping @Sendable (Node, Value) -> Void
    ) {
        background.submit { [outbox] in
            let value = work()
            outbox.send { done($0, value) }
        }
    }

    /// Finishes what was handed over and ends the threads. Blocks; not on the loop.
    func stop() throws(StoreError) {
        isStopping.store(true, ordering: .relaxed)
        scrubber.stop()
        watcher.stop()
        logThread.stop()
        // So that the next start has less to apply; after an error it applies what the log has.
        commit { _ in }
        applyThread.stop()
        readThread.stop()
        let surveyor = surveyor.withLock { $0 }
        surveyor.thread.stop()
        background.stop()
        held.value.log.close()
        defer { held.value.directory.close() }
        // Whoever still knows this storage must not keep its files open.
        try reader.close()
        try surveyor.reader.close()
        try store.close()
    }

    /// When the database cannot be read the requests fail; whether the node does too is not decided here.
    private static func answerOrRefuse(
        _ jobs: ArraySlice<ReadJob>, with reader: MetadataReader, through breaker: SharedCircuitBreaker
    ) -> (answers: [EncodedAnswer], failure: StoreError?) {
        let permit: CircuitBreaker.Permit
        do {
            permit = try breaker.admit()
        } catch {
            return (jobs.map { failed($0, "the database fails: \(error)", by: breaker.name, error) }, nil)
        }
        switch answer(jobs, with: reader) {
        case .success(let answers):
            breaker.record(.success, of: permit)
            return (answers, nil)
        case .failure(let error):
            breaker.record(.failure, of: permit)
            return (jobs.map { failed($0, "the database cannot be read", cause: "\(error)") }, error)
        }
    }

    /// - Parameters:
    ///   - breaker: the one that let nothing through; empty when none is the reason.
    private static func failed(
        _ job: ReadJob, _ detail: String, cause: String = "", by breaker: String = "",
        _ rejection: CircuitBreaker.Rejection? = nil
    ) -> EncodedAnswer {
        switch job.purpose {
        case .reply(let connection, let request):
            return .failure(
                connection: connection, request: request,
                ServiceFailure(
                    code: .storageFailed, detail: detail, isDefinite: true,
                    retryAfterMilliseconds: rejection?.retryAfterMilliseconds ?? 100, openBreaker: breaker,
                    context: FailureContext(
                        category: .transient, operation: "", cause: cause, timestampMilliseconds: 0)))
        case .catchUp(let key, let ticket):
            return .catchUp(watch: key, ticket: ticket, .notYet(current: .zero))
        }
    }

    private static func answer(
        _ jobs: ArraySlice<ReadJob>, with reader: MetadataReader
    ) -> Result<[EncodedAnswer], StoreError> {
        Result { () throws(StoreError) in
            let answers = try reader.answer(jobs.map(\.query))
            return zip(jobs, answers.results).map { job, result in
                switch job.purpose {
                case .reply(let connection, let request):
                    var buffer = ByteBufferAllocator().buffer(capacity: 256)
                    ClientResponseFrame(
                        id: request, response: .read(result, appliedIndex: answers.applied.index.rawValue)
                    ).encode(into: &buffer)
                    return .reply(connection: connection, request: request, OperationStatus(result), buffer)
                case .catchUp(let key, let ticket):
                    guard case .changes(let page) = result else {
                        preconditionFailure("a query for changes was answered with \(result)")
                    }
                    return .catchUp(watch: key, ticket: ticket, page)
                }
            }
        }
    }
}

/// A value on its way to the one thread that uses it from then on.
///
/// Unchecked because the compiler cannot see the hand-over: whoever makes one uses the value no more until that thread has
/// ended, and `BatchWorker.stop` waits for the end.
struct HandedOver<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}

/// Whether something happened of late. From any thread.
private final class Recency: Sendable {
    private let last = Atomic<UInt64>(0)
    private let span: UInt64

    init(_ span: TimeAmount) { self.span = UInt64(span.nanoseconds) }

    func note() { last.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed) }

    var isRecent: Bool { NIODeadline.now().uptimeNanoseconds < last.load(ordering: .relaxed) + span }
}

/// The way from the workers to the node loop.
final class Outbox: Sendable {
    private let loop: any EventLoop
    private let node = Mutex<NIOLoopBound<Node>?>(nil)

    init(loop: any EventLoop) { self.loop = loop }

    func connect(_ node: NIOLoopBound<Node>) { self.node.withLock { $0 = node } }

    func disconnect() { node.withLock { $0 = nil } }

    func send(_ deliver: @escaping @Sendable (Node) -> Void) {
        loop.execute {
            if let node = self.node.withLock({ $0 }) { deliver(node.value) }
        }
    }
}

/// The log's figures, readable from any thread.
final class LogReading: Sendable {
    private let latest = Mutex(LogMetrics())
    private let syncDuration: HistogramHandle

    init(syncDuration: HistogramHandle) { self.syncDuration = syncDuration }

    func update(_ metrics: LogMetrics) {
        let hasSynced = latest.withLock { latest in
            defer { latest = metrics }
            return metrics.syncs != latest.syncs
        }
        if hasSynced { syncDuration.observe(Double(metrics.lastSyncNanoseconds) * 1e-9) }
    }
    var metrics: LogMetrics { latest.withLock { $0 } }
}
