import NIOCore
import RaftCore
import Replica
import Telemetry
import Tracing
import Wire

/// The way of traced writes through this member's log, as spans: `raft.propose`, `raft.append` (its own disk), `raft.replicate`
/// (on the leader, until a majority has it), `state.apply`. On the leader they lie under the span of the request; on the others
/// under the leader's `raft.replicate`, which travels beside the entries. Few writes are traced, so everything here is a short list,
/// and while none is, nothing is done.
struct EntryTraces {
    /// Writes that are followed at a time; more are not.
    static let entriesMax = 1_024
    /// What has not been applied after this long was overwritten, or is no news any more.
    static let patience: TimeAmount = .seconds(60)

    private struct Gathered {
        var token: RequestToken
        var request: RecordedSpan
        var propose: RecordedSpan
        var since: NIODeadline
    }

    private struct Followed {
        var position: LogPosition
        /// What stands above the spans of this member.
        var parent: ServiceContext
        /// Until this member's disk has it.
        var append: RecordedSpan?
        /// On the leader, until it is committed.
        var replicate: RecordedSpan?
        /// What others put their spans under; nil on members that do not lead.
        var traceparent: String?
        var apply: RecordedSpan?
        /// Applied here. A leader goes on telling others of it that do not have it yet.
        var isApplied = false
        var since: NIODeadline

        /// In place: a copy of the list for each turn would cost more than all of this.
        mutating func progressed(_ core: borrowing RaftNode, applied: LogIndex, _ tracer: SpanTracer) {
            guard !isApplied else { return }
            // Another entry stands there still, or stood there until now.
            if let term = core.term(at: position.index), term != position.term { return }
            if position.index <= core.syncedIndex { Self.end(&append, at: position) }
            guard position.index <= core.commitIndex else { return }
            Self.end(&replicate, at: position)
            if apply == nil { apply = tracer.startSpan("state.apply", context: parent) }
            if position.index <= applied { Self.end(&apply, at: position) }
        }

        private static func end(_ span: inout RecordedSpan?, at position: LogPosition) {
            guard let ended = span else { return }
            ended.attributes = [
                "raft.index": .int64(Int64(clamping: position.index.rawValue)),
                "raft.term": .int64(Int64(clamping: position.term.rawValue)),
            ]
            ended.end()
            span = nil
        }
    }

    private let tracer: SpanTracer
    /// Not in the log yet.
    private var gathered: [Gathered] = []
    /// In the log and not applied, in the order in which they came.
    private var followed: [Followed] = []

    init(_ tracer: SpanTracer) { self.tracer = tracer }

    var isEmpty: Bool { gathered.isEmpty && followed.isEmpty }

    // MARK: On the leader

    /// A traced request is about to be handed to the replica.
    mutating func gathered(_ token: RequestToken, under request: RecordedSpan) {
        // New ones come before those that only a slow member still has to hear of.
        if gathered.count + followed.count >= EntryTraces.entriesMax { followed.removeAll(where: \.isApplied) }
        guard gathered.count + followed.count < EntryTraces.entriesMax else { return }
        let propose = tracer.startSpan("raft.propose", context: request.context)
        gathered.append(Gathered(token: token, request: request, propose: propose, since: .now()))
    }

    /// The replica has taken a turn: what found its place in the log is followed there, and what got further on is noted.
    mutating func turnTaken(_ replica: borrowing Replica) {
        var rest: [Gathered] = []
        for item in gathered {
            guard let index = replica.index(of: item.token), let term = replica.core.term(at: index) else {
                rest.append(item)
                continue
            }
            item.propose.end()
            let parent = item.request.context
            let replicate = tracer.startSpan("raft.replicate", context: parent)
            followed.append(
                Followed(
                    position: LogPosition(index: index, term: term), parent: parent,
                    append: tracer.startSpan("raft.append", context: parent), replicate: replicate,
                    traceparent: replicate.trace.traceparent, since: .now()))
        }
        gathered = rest
        progressed(replica.core, applied: replica.appliedIndex)
    }

    /// The request has its answer; if it never came to the log, that is its end.
    mutating func answered(_ token: RequestToken) {
        guard let place = gathered.firstIndex(where: { $0.token == token }) else { return }
        let item = gathered.remove(at: place)
        item.propose.setStatus(SpanStatus(code: .error, message: "not proposed"))
        item.propose.end()
    }

    /// What goes beside these messages.
    func beside(_ messages: [Message]) -> [TracedEntry] {
        guard !followed.isEmpty else { return [] }
        var traced: [TracedEntry] = []
        for case .append(_, let entries, _) in messages.lazy.map(\.kind) {
            guard let first = entries.first?.index, let last = entries.last?.index else { continue }
            for item in followed where first <= item.position.index && item.position.index <= last {
                guard let traceparent = item.traceparent, traced.count < WireLimits.tracedPerFrameMax else { continue }
                traced.append(TracedEntry(position: item.position, traceparent: traceparent))
            }
        }
        return traced
    }

    // MARK: On the others

    /// A leader sent these beside its entries.
    mutating func received(_ traced: [TracedEntry]) {
        guard tracer.isOn else { return }
        for entry in traced {
            guard followed.count < EntryTraces.entriesMax, let parent = TraceContext(traceparent: entry.traceparent),
                parent.isSampled, !followed.contains(where: { $0.position == entry.position })
            else { continue }
            let context = ServiceContext(parent)
            followed.append(
                Followed(
                    position: entry.position, parent: context,
                    append: tracer.startSpan("raft.append", context: context, ofKind: .consumer), since: .now()))
        }
    }

    // MARK: On each member

    /// The log may have been synced, committed or applied further.
    private mutating func progressed(_ core: borrowing RaftNode, applied: LogIndex) {
        for place in 0..<followed.count { followed[place].progressed(core, applied: applied, tracer) }
        guard followed.contains(where: { $0.position.index <= applied }) else { return }
        let others = core.progress.filter(\.isActive)
        followed.removeAll { item in
            let index = item.position.index
            return index <= applied && (item.traceparent == nil || others.allSatisfy { $0.match >= index })
        }
        for place in followed.indices where followed[place].position.index <= applied {
            followed[place].isApplied = true
        }
    }

    /// Forgets what will not come to an end.
    mutating func expire(now: NIODeadline) {
        gathered.removeAll { $0.since + EntryTraces.patience < now }
        followed.removeAll { $0.since + EntryTraces.patience < now }
    }
}
