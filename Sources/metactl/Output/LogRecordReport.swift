import MetadataModel
import MetadataSchema
import RaftCore
import RaftLog

/// One line of `log dump`. Keys that do not belong to the record are left out.
struct LogRecordReport: Report, Equatable {
    /// `noop`, `command`, `configuration` for entries; `segment`, `batch`, `hard_state`, `leftover`, `end`, `damage` for what
    /// is around them.
    var kind: String
    var file: String
    var offset: Int?
    var index: UInt64?
    var term: UInt64?
    /// Bytes of the payload, or of the batch or segment.
    var bytes: Int?
    var session: UInt64?
    var sequence: UInt64?
    var acknowledgedBelow: UInt64?
    /// The log's own time.
    var timeMs: UInt64?
    /// A command's name; `unknown` for one that this build does not understand.
    var command: String?
    /// The particulars in a few words.
    var summary: String

    private init(kind: String, file: String, offset: Int? = nil, summary: String = "") {
        self.kind = kind
        self.file = file
        self.offset = offset
        self.summary = summary
    }

    init(_ record: DumpedRecord) {
        switch record {
        case .segment(let file, let generation, let base, let start, let bytes):
            self.init(
                kind: "segment", file: file, summary: "generation \(generation), begins after \(base), chain \(start)")
            self.bytes = bytes
        case .batch(let file, let offset, let records, let bytes, let syncedOffset):
            self.init(
                kind: "batch", file: file, offset: offset, summary: "\(records) records, synced before \(syncedOffset)")
            self.bytes = bytes
        case .entry(let file, let offset, let entry):
            self.init(entry, file: file, offset: offset)
        case .hardState(let file, let state, let generation, let syncedIndex):
            let vote = state.vote.map { "vote \($0)" } ?? "no vote"
            self.init(
                kind: "hard_state", file: file,
                summary: "\(vote), generation \(generation), log synced to \(syncedIndex)")
            term = state.term.rawValue
        case .leftover(let file):
            self.init(kind: "leftover", file: file, summary: "does not count: unfinished or replaced")
        case .stopped(let file, let offset, let record, let reason):
            let isEnd = LogRecordReport.endReasons.contains(reason)
            self.init(kind: isEnd ? "end" : LogRecordReport.damageKind, file: file, offset: offset, summary: reason)
            index = record.rawValue
        }
    }

    private init(_ entry: Entry, file: String, offset: Int) {
        switch entry.kind {
        case .noop:
            self.init(kind: "noop", file: file, offset: offset)
        case .configuration:
            self.init(
                kind: "configuration", file: file, offset: offset, summary: LogRecordReport.configuration(entry.payload)
            )
        case .command:
            self.init(kind: "command", file: file, offset: offset)
            describeCommand(entry.payload)
        }
        index = entry.index.rawValue
        term = entry.term.rawValue
        bytes = entry.payload.count
    }

    private mutating func describeCommand(_ payload: [UInt8]) {
        let envelope: LogEnvelope
        do {
            envelope = try LogEnvelope(decoding: payload)
        } catch {
            command = LogRecordReport.unknown
            summary = "\(error)"
            return
        }
        session = envelope.session?.rawValue
        sequence = envelope.session.map { _ in envelope.sequence }
        acknowledgedBelow = envelope.session.map { _ in envelope.acknowledgedBelow }
        timeMs = envelope.timeMilliseconds
        guard let decoded = envelope.command() else {
            command = LogRecordReport.unknown
            summary = "\(envelope.commandBytes.count) bytes that this program does not understand"
            return
        }
        let text = CommandSummary(decoded)
        command = text.name
        summary = text.facts
    }

    static let damageKind = "damage"
    private static let unknown = "unknown"
    /// What ends a segment that is whole.
    private static let endReasons = [LogDump.endReason, "the next segment begins"]

    private static func configuration(_ payload: [UInt8]) -> String {
        let configuration: Configuration
        do {
            configuration = try Configuration(decoding: payload)
        } catch {
            return "\(error)"
        }
        func list(_ nodes: [NodeID]) -> String { nodes.map(\.description).joined(separator: ",") }
        var facts = ["voters=\(list(configuration.voters))"]
        if configuration.isJoint { facts.append("outgoing=\(list(configuration.outgoing))") }
        if !configuration.learners.isEmpty { facts.append("learners=\(list(configuration.learners))") }
        facts += configuration.members.map { "\($0.id)@\($0.peerAddress)" }
        return facts.joined(separator: " ")
    }

    /// True for what the state machine gets to see, and for damage.
    var isEssential: Bool {
        switch kind {
        case "noop", "command", "configuration", LogRecordReport.damageKind: true
        default: false
        }
    }

    static let header = line(["INDEX", "TERM", "KIND", "SESSION/SEQ", "COMMAND"], summary: "SUMMARY")

    var table: String {
        let origin = session.map { "\($0)/\(sequence ?? 0)" } ?? "-"
        return LogRecordReport.line(
            [index.map(String.init) ?? "-", term.map(String.init) ?? "-", kind, origin, command ?? "-"],
            summary: (summary.isEmpty ? "-" : summary) + (isEntry ? "" : " (\(file))"))
    }

    private var isEntry: Bool { isEssential && kind != LogRecordReport.damageKind }

    /// Columns of fixed width: the lines are printed as they are read.
    private static let widths = [10, 6, 14, 14, 24]

    private static func line(_ cells: [String], summary: String) -> String {
        let padded = zip(cells, widths).map { cell, width in
            cell.count >= width ? cell + " " : cell + String(repeating: " ", count: width - cell.count)
        }
        return (padded.joined() + summary).printable
    }
}
