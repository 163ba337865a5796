import Foundation
import GRDB
import MetadataClient
import MetadataModel
import Testing

/// Bytes that flip on the disk of one node: it finds them, repairs itself from the others, and harms nobody.
@Suite("Damaged nodes", .serialized)
struct DamageTests {
    private static let settings = [
        "storage.digest_interval=500ms", "storage.scrub_interval=500ms", "raft.log_keep_entries=500",
    ]

    @Test("a byte flipped in the middle of one node's log is found at its start and repaired", .timeLimit(.minutes(3)))
    func log() async throws {
        try await withWritableCluster(settings: Self.settings) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            let victim = try await cluster.leader()
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 200)
                try await cluster.kill(victim)
                try flipByte(of: try logFile(cluster.directory(of: victim)), at: 4_096 + 700)
                try await cluster.start(victim)
                try await cluster.waitForLog(of: victim, "is corrupt at offset")
                try await cluster.waitForLog(of: victim, "holds again whatever it may have acknowledged")
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
            }
            try await judge([writer], cluster, client)
            #expect(try leftBehind(cluster.directory(of: victim)) == [])
        }
    }

    @Test("a damaged database is found at the start of its node and made anew from its log", .timeLimit(.minutes(3)))
    func database() async throws {
        try await withWritableCluster(settings: Self.settings) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            let victim = try await cluster.leader() % 3 + 1
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 200)
                #expect(try await cluster.terminate(victim) == 0)
                // The newest pages may all be in the WAL, and would hide what is flipped in the file.
                let file = cluster.directory(of: victim).appendingPathComponent("metadata.sqlite")
                for suffix in ["-wal", "-shm"] where FileManager.default.fileExists(atPath: file.path + suffix) {
                    try FileManager.default.removeItem(atPath: file.path + suffix)
                }
                try flipByte(of: file, at: 3)
                try await cluster.start(victim)
                try await cluster.waitForLog(of: victim, "it begins anew from the log")
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
            }
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "a row changed behind SQLite's back is found by a running node, which heals itself, leader or not",
        .timeLimit(.minutes(3)), arguments: [true, false])
    func row(ofLeader isLeader: Bool) async throws {
        try await withWritableCluster(settings: Self.settings) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            let leader = try await cluster.leader()
            let victim = isLeader ? leader : leader % 3 + 1
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 100)
                let database = cluster.directory(of: victim).appendingPathComponent("metadata.sqlite").path
                let changed = try await DatabaseQueue(path: database, configuration: .insistent).write { rows in
                    try rows.execute(
                        sql: "UPDATE partition SET leader_epoch = leader_epoch + 1 "
                            + "WHERE topic = (SELECT min(id) FROM topic) AND number = 0")
                    return rows.changesCount
                }
                #expect(changed == 1)
                try await cluster.waitForLog(of: victim, "this node's state is damaged")
                try await cluster.waitForLog(of: victim, "holds again whatever it may have acknowledged")
                if isLeader { #expect(try await cluster.leader() != victim) }
            }
            try await judge([writer], cluster, client)
            let log = try await cluster.logText(of: victim)
            #expect(log.contains("the node starts again"), "it was not the running node that found it")
        }
    }

    @Test(
        "a node that lost term and vote does not come back under its name, and the others go on",
        .timeLimit(.minutes(2)))
    func hardState() async throws {
        try await withWritableCluster(settings: Self.settings) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            let victim = try await cluster.leader() % 3 + 1
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 50)
                try await cluster.kill(victim)
                let file = cluster.directory(of: victim).appendingPathComponent("log/hard-state")
                for place in [30, 4_096 + 30] { try flipByte(of: file, at: place) }
                try await cluster.start(victim)
                #expect(try await cluster.waitForEnd(of: victim) == 78)
                #expect(try await cluster.logText(of: victim).contains("replace the member"))
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
            }
        }
    }

    // MARK: Helpers

    private func logFile(_ directory: URL) throws -> URL {
        let folder = directory.appendingPathComponent("log")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".log") }
        return folder.appendingPathComponent(try #require(names.sorted().first))
    }

    private func leftBehind(_ directory: URL) throws -> [String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        let kept = try FileManager.default.contentsOfDirectory(
            atPath: directory.appendingPathComponent("damaged").path)
        return names.filter { $0 == "repair" } + kept
    }

    private func flipByte(of file: URL, at offset: Int) throws {
        let handle = try FileHandle(forUpdating: file)
        defer { handle.closeFile() }
        try handle.seek(toOffset: UInt64(offset))
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: Data([byte ^ 0x40]))
    }
}

extension GRDB.Configuration {
    /// For a second program at the database of a node, which holds the lock for some milliseconds at a time. SQLite's own wait
    /// looks ten times a second at most, and can miss each of the moments in between for as long as the node is busy.
    static var insistent: Self {
        var configuration = Self()
        configuration.busyMode = .callback { tries in
            usleep(500)
            return tries < 20_000
        }
        return configuration
    }
}

/// Runs a program to its end, which has to be a good one.
func run(_ program: String, _ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw LocalCluster.HarnessFailure(description: "\(program) ended with \(process.terminationStatus)")
    }
}
