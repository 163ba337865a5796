import MetadataModel
import MetadataStore
import NIOCore
import RaftCore
import RaftLog
import Replica
import Wire

/// What the apply thread is asked for.
enum ApplyJob: Sendable {
    case apply([Entry])
    case install(path: String, IncomingSnapshot)
    /// Commits what was applied, then calls this on the apply thread; with the error when that failed.
    case commit(then: @Sendable (StoreError?) -> Void)
    /// A checkpoint in which the writer takes part.
    case restartWAL
}

/// What the apply thread answers.
enum ApplyResult: Sendable {
    case applied(AppliedReport, events: [ChangeEvent], digest: UInt64)
    case installed(StateMachineImage, digest: UInt64, IncomingSnapshot)
    case installFailed(StoreError, IncomingSnapshot)
    case checkpointed(Result<LogPosition, StoreError>)
    /// Nothing was changed; the same batch is tried again after a pause.
    case suspended(StoreError, retry: [Entry])
    case failed(StoreError)
}

/// A question for the reader thread.
struct ReadJob: Sendable {
    enum Purpose: Sendable {
        /// Answer the client.
        case reply(connection: UInt64, request: UInt64)
        /// Feed a watch from the change feed on disk.
        case catchUp(watch: WatchKey, ticket: UInt64)
    }

    var purpose: Purpose
    var query: Query

    /// Answers that are held in memory together, before the first of them leaves; about what 256 objects take.
    static let sliceItemsMax = 256

    /// In their order, each slice with at least one job.
    static func slices(of jobs: [ReadJob]) -> [ArraySlice<ReadJob>] {
        var slices: [ArraySlice<ReadJob>] = []
        var start = jobs.startIndex
        var items = 0
        for (place, job) in jobs.enumerated() {
            if place > start, items + job.query.itemsMax > sliceItemsMax {
                slices.append(jobs[start..<place])
                (start, items) = (place, 0)
            }
            items += job.query.itemsMax
        }
        if start < jobs.endIndex { slices.append(jobs[start...]) }
        return slices
    }
}

extension Query {
    /// How many objects the answer may hold.
    fileprivate var itemsMax: Int {
        switch self {
        case .summary, .broker, .topic, .partition: 1
        case .brokers(_, let limit), .topics(_, let limit), .partitions(_, _, let limit),
            .clusterPartitions(_, _, let limit), .configs(_, _, let limit), .changes(_, _, let limit):
            Limits.pageItems(limit)
        }
    }
}

struct ReadAnswer: Sendable {
    var purpose: ReadJob.Purpose
    var result: QueryResult
    var applied: LogPosition
}

extension MetadataStore {
    /// The part of the apply thread that decides nothing: one job in, at most one result out.
    func perform(_ job: ApplyJob) -> ApplyResult? {
        switch job {
        case .apply(let entries):
            do throws(StoreError) {
                let batch = try stage(entries)
                return .applied(AppliedReport(batch), events: batch.events, digest: batch.digest)
            } catch {
                if error.isRetriable { return .suspended(error, retry: entries) }
                return .failed(error)
            }
        case .install(let path, let snapshot):
            do throws(StoreError) {
                _ = try installSnapshot(from: path)
            } catch {
                return error.leavesStateAsItWas ? .installFailed(error, snapshot) : .failed(error)
            }
            do throws(StoreError) {
                return .installed(try image(), digest: digest, snapshot)
            } catch {
                // The state was replaced: going on as if it were not would apply entries twice.
                return .failed(error)
            }
        case .commit(let then):
            do throws(StoreError) {
                try commit()
                then(nil)
            } catch {
                then(error)
            }
            return nil
        case .restartWAL:
            return .checkpointed(
                Result { () throws(StoreError) in
                    try commit()
                    return try checkpoint(.restart)
                })
        }
    }

    /// The state machine as the replica needs to know it. Called while nothing is applied.
    func image() throws(StoreError) -> StateMachineImage {
        StateMachineImage(
            applied: applied, version: version, logTimeMilliseconds: logTimeMilliseconds, brokers: try brokers(),
            silences: BrokerSilences(text: try clusterConfig(BrokerSilences.configName)),
            unfinished: UnfinishedWork(text: try clusterConfig(UnfinishedWork.configName)))
    }
}

extension StoreError {
    /// Of an installation that failed: whether the file or a lack of room was to blame. After any other error what is on the disk is
    /// not known. A sync that failed covered the batches before in the same WAL, and a later one would succeed without
    /// them (fsyncgate).
    fileprivate var leavesStateAsItWas: Bool {
        switch self {
        case .diskFull, .outOfMemory, .busy, .refused, .snapshot, .file: true
        case .sqlite, .corrupt, .foreignDatabase, .schemaTooNew, .pragma, .closed: false
        }
    }
}

extension AppliedReport {
    init(_ batch: AppliedBatch) {
        self.init(
            applied: batch.applied, version: batch.version, logTimeMilliseconds: batch.logTimeMilliseconds,
            outcomes: batch.outcomes.map { Outcome(index: $0.index, outcome: $0.outcome) }, events: batch.events,
            digests: batch.digests)
    }
}
