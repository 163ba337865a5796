import RaftCore
import RaftLog

/// Prints the records of a dump in pieces of many lines: a log has millions of entries.
struct LogPrinter {
    private let format: OutputFormat
    /// Entries before this index are left out.
    private let from: UInt64
    /// Entries at most.
    private let limit: Int
    /// Whether what is around the entries is printed too.
    private let structure: Bool
    private let write: (String) throws -> Void
    /// The first damage, if there is any.
    private(set) var damage: LogRecordReport?
    private var lines: [String] = []
    private var entries = 0
    /// Why nothing is printed any more.
    private var failure: (any Error)?

    /// Lines of one write.
    private static let linesMax = 1_000

    /// - Parameter write: Takes lines, without a newline at the end.
    init(format: OutputFormat, from: UInt64, limit: Int?, structure: Bool, write: @escaping (String) throws -> Void) {
        self.format = format
        self.from = from
        self.limit = limit ?? .max
        self.structure = structure
        self.write = write
        if format == .table { lines.append(LogRecordReport.header) }
    }

    mutating func visit(_ record: DumpedRecord) {
        if case .entry(_, _, let entry) = record {
            guard entry.index.rawValue >= from, entries < limit else { return }
            entries += 1
        }
        let report = LogRecordReport(record)
        // Behind the last entry that was asked for only damage is news.
        if entries >= limit, !report.isEssential { return }
        if report.kind == LogRecordReport.damageKind, damage == nil { damage = report }
        guard structure || report.isEssential, failure == nil else { return }
        do {
            switch format {
            case .table: lines.append(report.table)
            case .json: lines.append(try JSON.line(report))
            }
            if lines.count >= LogPrinter.linesMax { try flush() }
        } catch {
            failure = error
        }
    }

    /// Prints what is left, or throws what printing ran into.
    mutating func finish() throws {
        if let failure { throw failure }
        try flush()
    }

    private mutating func flush() throws {
        try write(lines.joined(separator: "\n"))
        lines = []
    }
}
