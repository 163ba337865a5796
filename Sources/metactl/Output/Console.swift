import ArgumentParser
import Foundation

/// How answers are printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case table
    case json
}

/// What a command prints: the same facts as a table and as JSON.
protocol Report: Encodable {
    /// Lines for people, without a newline at the end.
    var table: String { get }
}

/// Where answers go. Each call writes whole lines at once and unbuffered, so that a reader at the other end of a pipe
/// sees a line as soon as it is printed.
struct Console: Sendable {
    var format: OutputFormat

    /// Prints a command's one answer.
    func print(_ report: some Report) throws {
        switch format {
        case .table: try Console.write(report.table, to: .standardOutput)
        case .json: try Console.write(try JSON.document(report), to: .standardOutput)
        }
    }

    /// Prints one item of a stream: a line.
    func printLine(_ report: some Report) throws {
        switch format {
        case .table: try Console.write(report.table, to: .standardOutput)
        case .json: try Console.write(try JSON.line(report), to: .standardOutput)
        }
    }

    /// Tells how a long command gets on. Never in the way of a JSON document: that has standard output for itself.
    func progress(_ line: String) throws {
        switch format {
        case .table: try Console.write(line, to: .standardOutput)
        case .json: try Console.write(line, to: .standardError)
        }
    }

    /// Says on standard error why the command failed.
    func fail(_ failure: CommandFailure) throws {
        switch format {
        case .table: try Console.write(failure.line.printable, to: .standardError)
        case .json: try Console.write(try JSON.line(FailureReport(failure)), to: .standardError)
        }
    }

    static func write(_ text: String, to file: FileHandle) throws {
        guard !text.isEmpty else { return }
        do {
            try file.write(contentsOf: Data((text + "\n").utf8))
        } catch {
            let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
            guard let cause, cause.domain == NSPOSIXErrorDomain, cause.code == Int(EPIPE) else { throw error }
            throw OutputClosed()
        }
    }
}

/// Nobody reads our output any more. The networking library has the signal for it ignored, so it arrives as an error.
struct OutputClosed: Error {}
