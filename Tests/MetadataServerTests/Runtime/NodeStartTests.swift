import Foundation
import GRDB
import Logging
import MetadataStore
import RaftCore
import RaftLog
import Replica
import Testing

@testable import MetadataServer

/// What a start does with a data directory that is damaged, and with one that only looks so.
@Suite("The start of a node")
struct NodeStartTests {
    private final class Directory {
        let path = NSTemporaryDirectory() + "node-start-" + UUID().uuidString

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func names(_ folder: String = "") -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: path + folder)) ?? []).sorted()
        }

        var segments: [String] { names("/log").filter { $0.hasSuffix(".log") } }
        var database: String { path + "/metadata.sqlite" }
    }

    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A formatted directory of node 1 of three.
    private func formatted() async throws -> (Directory, NodeConfiguration) {
        let directory = Directory()
        let file = directory.path + ".yaml"
        let text = """
            node:
              id: 1
              data_dir: "\(directory.path)"
            cluster:
              id: "test"
              initial_members: ["1=a:1,a:2", "2=b:1,b:2", "3=c:1,c:2"]
            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: file) }
        let configuration = try await NodeConfiguration.load(
            file: file, environment: [:], overrides: [:], currentDirectory: "/")
        try formatNode(configuration, disk: DiskID(high: 1, low: 2))
        return (directory, configuration)
    }

    private func start(_ configuration: NodeConfiguration, _ body: (OpenedStorage) throws -> Void = { _ in }) throws {
        let opened = try OpenedStorage(configuration, logger: logger)
        defer { opened.directory.close() }
        try body(opened)
        opened.log.close()
        try opened.store.close()
    }

    @Test("a corrupt database begins anew from a log that has every entry, and the node votes all along")
    func databaseFromLog() async throws {
        let (directory, configuration) = try await formatted()
        try start(configuration) { _ = try $0.store.apply($0.restored.entries) }
        try Data(repeating: 7, count: 8_192).write(to: URL(fileURLWithPath: directory.database))
        let segments = directory.segments
        try start(configuration) { opened in
            #expect(!opened.restored.isRecovering)
            #expect(opened.restored.entries.count == 1, "the log is kept")
            #expect(opened.image.applied == .zero, "the log is replayed")
        }
        #expect(directory.segments == segments)
        #expect(directory.names("/damaged").contains("metadata.sqlite"))
        #expect(!directory.names().contains("repair"))
    }

    @Test("a corrupt database beside a log that was cut: both begin anew, and the node recovers before it votes")
    func both() async throws {
        let (directory, configuration) = try await formatted()
        try start(configuration) { opened in
            let members = try #require(opened.restored.entries.first)
            let cut = LogPosition(index: LogIndex(50), term: Term(1))
            let entry = Entry(term: Term(1), index: LogIndex(51), kind: .configuration, payload: members.payload)
            try opened.log.write([Persist(sequence: 1, reset: cut, entries: [entry])])
        }
        try Data(repeating: 7, count: 8_192).write(to: URL(fileURLWithPath: directory.database))
        let segments = directory.segments
        try start(configuration) { opened in
            #expect(opened.restored.isRecovering)
            #expect(opened.restored.base == .zero && opened.restored.entries.isEmpty)
            #expect(opened.restored.configuration.voters == [1, 2, 3].map { NodeID($0) })
        }
        #expect(directory.names("/damaged").filter { $0.hasSuffix(".log") } == segments)
        #expect(directory.names().contains("repair"))
    }

    @Test(
        "an error of the database that a build may have made itself stops the node: all of them would give up their logs"
    )
    func notCorrupt() async throws {
        let (directory, configuration) = try await formatted()
        try start(configuration) { opened in
            // Cut, so that the database could not be made anew from it.
            let applied = try opened.store.apply(opened.restored.entries).applied
            try opened.log.write([Persist(sequence: 1, reset: applied)])
        }
        try await DatabaseQueue(path: directory.database).write { try $0.execute(sql: "DROP TABLE broker") }
        func files() -> [String] { directory.names().filter { !$0.hasPrefix("metadata.sqlite-") } }
        let before = (files(), directory.segments)
        let error = #expect(throws: NodeStartError.self) { try start(configuration) }
        if case .store(.sqlite)? = error {} else { Issue.record("\(String(describing: error))") }
        #expect(files() == before.0)
        #expect(directory.segments == before.1)
    }

    @Test("members that only the settings name discard nothing once the log was cut: this may be the only voter by now")
    func membersOfOld() async throws {
        let (directory, configuration) = try await formatted()
        try start(configuration) { opened in
            let cut = LogPosition(index: LogIndex(50), term: Term(1))
            let entry = Entry(term: Term(1), index: LogIndex(51), kind: .noop, payload: [])
            try opened.log.write([Persist(sequence: 1, reset: cut, entries: [entry])])
        }
        for name in directory.names() where name.hasPrefix("metadata.sqlite") {
            try FileManager.default.removeItem(atPath: directory.path + "/" + name)
        }
        let segments = directory.segments
        let error = #expect(throws: NodeStartError.self) { try start(configuration) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("initial_members"))
        #expect(directory.segments == segments)
        #expect(!directory.names().contains("damaged") && !directory.names().contains("repair"))
    }
}
