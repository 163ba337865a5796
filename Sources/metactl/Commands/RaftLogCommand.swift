import ArgumentParser
import Foundation
import RaftLog

struct RaftLogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Reads a node's Raft log on disk.", subcommands: [Dump.self])

    struct Dump: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the entries of a data directory's log, without changing anything.",
            discussion: """
                No cluster is needed. Reading goes on behind damage as far as it can; damage is a line of its own, and the \
                command then ends with 1. A node that runs may be in the middle of writing its last batch, and one that was \
                killed may have left it torn: both show as damage at the very end.
                """)

        @Argument(help: "The data directory of a node, or its log folder.", completion: .directory) var dataDirectory:
            String
        @Option(help: "Begin with the entry at this index.") var from: UInt64 = 0
        @Option(help: "Print so many entries at most.") var limit: Int?
        @Flag(help: "Also print segments, batches, term and vote.") var structure = false
        @OptionGroup var global: OutputOptions

        func validate() throws {
            if let limit, limit < 1 { throw ValidationError("--limit must be 1 or more") }
        }

        func run() async throws {
            let path = try logDirectory()
            var printer = LogPrinter(format: global.output, from: from, limit: limit, structure: structure) { lines in
                try Console.write(lines, to: .standardOutput)
            }
            do {
                try LogDump.dump(directory: path) { record in printer.visit(record) }
            } catch {
                throw CommandFailure.unavailable(code: "log_unreadable", "\(error)")
            }
            try printer.finish()
            guard let damage = printer.damage else { return }
            throw CommandFailure(
                status: .refused, code: "log_damaged", category: "fatal",
                detail: "\(damage.file) ends at offset \(damage.offset ?? 0): \(damage.summary)")
        }

        private func logDirectory() throws(CommandFailure) -> String {
            for path in [logOfIdentity ?? dataDirectory + "/log", dataDirectory] {
                var isDirectory: ObjCBool = false
                guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue,
                    FileManager.default.fileExists(atPath: path + "/hard-state")
                else { continue }
                return path
            }
            throw .usage("\(dataDirectory) is neither the data directory of a node nor its log folder")
        }

        /// A recovered node has its log in a folder that its identity names.
        private var logOfIdentity: String? {
            do {
                return DataDirectory.logDirectory(
                    of: try DataDirectory.identity(path: dataDirectory), in: dataDirectory)
            } catch {
                // A log folder has no identity, and a damaged one must not keep anybody from looking at the log.
                return nil
            }
        }
    }
}
