import Foundation
import MetadataModel
import MetadataSchema
import RaftCore
import RaftLog
import Testing

@testable import metactl

@Suite("log dump")
struct LogDumpTests {
    /// A log of a no-op, two commands and nothing else, in a folder that is removed afterwards.
    private func withLog(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "metactl-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer {
            do {
                try FileManager.default.removeItem(atPath: directory)
            } catch {
                Issue.record("\(directory) is left behind: \(error)")
            }
        }
        let commands = [Command.deleteTopic(topic: .name("orders"), ifVersion: Version(4)), .setFeatureLevel(1)]
        var entries = [RaftCore.Entry(term: Term(2), index: LogIndex(1), kind: .noop, payload: [])]
        for (offset, command) in commands.enumerated() {
            let envelope = LogEnvelope(
                timeMilliseconds: 7, session: nil, sequence: 0, acknowledgedBelow: 0,
                commandBytes: command.schemaBytes())
            entries.append(
                RaftCore.Entry(
                    term: Term(2), index: LogIndex(UInt64(2 + offset)), kind: .command, payload: envelope.encoded()))
        }
        let (log, _) = try SegmentedLog.open(directory: directory, fileSystem: PosixFileSystem())
        try log.write([
            Persist(sequence: 1, entries: entries, hardState: HardState(term: Term(2), vote: NodeID(1)))
        ])
        log.close()
        try body(directory)
    }

    private func dump(
        _ directory: String, from: UInt64 = 0, limit: Int? = nil, structure: Bool = false
    ) throws -> (lines: [String], damage: LogRecordReport?) {
        var text: [String] = []
        var printer = LogPrinter(format: .table, from: from, limit: limit, structure: structure) { text.append($0) }
        try LogDump.dump(directory: directory) { printer.visit($0) }
        try printer.finish()
        return (text.joined(separator: "\n").split(separator: "\n").map(String.init), printer.damage)
    }

    @Test("a log is printed entry by entry, and the entries that are asked for alone")
    func entries() throws {
        try withLog { directory in
            let lines = [
                "INDEX     TERM  KIND          SESSION/SEQ   COMMAND                 SUMMARY",
                "1         2     noop          -             -                       -",
                "2         2     command       -             delete_topic            orders if_version=4",
                "3         2     command       -             set_feature_level       level 1",
            ]
            let all = try dump(directory)
            #expect(all.lines == lines)
            #expect(all.damage == nil)
            #expect(try dump(directory, from: 2, limit: 1).lines == [lines[0], lines[2]])
            #expect(try dump(directory, structure: true).lines.count > lines.count)
        }
    }

    @Test("dumping changes no byte of the log, and a flipped bit is a line of its own")
    func damage() throws {
        try withLog { directory in
            func files() throws -> [String: Data] {
                var contents: [String: Data] = [:]
                for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
                    contents[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")
                }
                return contents
            }
            let before = try files()
            _ = try dump(directory)
            #expect(try files() == before)

            let topic = Data("orders".utf8)
            let (name, data) = try #require(before.first { $0.value.range(of: topic) != nil })
            var flipped = data
            let position = try #require(flipped.range(of: topic)).lowerBound
            flipped[position] ^= 1
            try flipped.write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
            let result = try dump(directory)
            #expect(result.damage != nil)
            #expect(result.lines.contains { $0.contains("  damage  ") && $0.contains(name) })
        }
    }

    @Test("the command finds the log inside of a data directory and ends with 1 when it is damaged")
    func command() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "metactl-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        #expect(await Program.run(arguments: ["log", "dump", directory + "/nothing-here"]) == .usage)
        try DataDirectory.format(
            path: directory + "/data", clusterID: "test", nodeID: NodeID(1), diskID: DiskID(high: 1, low: 2))
        #expect(await Program.run(arguments: ["log", "dump", directory + "/data"]) == .done)
        let log = directory + "/data/log"
        let segment = try #require(
            try FileManager.default.contentsOfDirectory(atPath: log).first {
                $0.contains("segment") || $0.hasSuffix(".log")
            })
        try Data("not a segment at all".utf8).write(to: URL(fileURLWithPath: "\(log)/\(segment)"))
        #expect(await Program.run(arguments: ["log", "dump", directory + "/data", "-o", "json"]) == .refused)
        try FileManager.default.removeItem(atPath: directory)
    }
}
