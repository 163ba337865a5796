import Foundation
import MetadataModel
import MetadataSchema
import MetadataStore
import RaftCore
import RaftLog
import Testing

@testable import metactl

@Suite("recover")
struct RecoveryTests {
    private struct Crash: Error {}

    private static let disk = DiskID(high: 1, low: 2)

    /// A member of a cluster of three, stopped: 12 entries in its log, 9 of them in its database.
    private final class OldNode {
        let path = FileManager.default.temporaryDirectory.appending(path: "recover-\(UUID().uuidString)").path
        let entries: [RaftCore.Entry]

        init() throws {
            try DataDirectory.format(path: path, clusterID: "old", nodeID: NodeID(1), diskID: RecoveryTests.disk)
            entries = try OldNode.makeEntries()
            let directory = try DataDirectory.open(path: path, expectedClusterID: "old", expectedNodeID: NodeID(1))
            defer { directory.close() }
            let (log, _) = try SegmentedLog.open(
                directory: directory.logDirectory, fileSystem: PosixFileSystem(), options: directory.logOptions)
            for entry in entries {
                try log.write([
                    Persist(
                        sequence: entry.index.rawValue, entries: [entry],
                        hardState: HardState(term: Term(3), vote: NodeID(2)))
                ])
            }
            log.close()
            let store = try MetadataStore(path: directory.databasePath)
            _ = try store.apply(Array(entries.prefix(9)))
            _ = try store.checkpoint(.truncate)
            try store.close()
        }

        deinit {
            do {
                try FileManager.default.removeItem(atPath: path)
            } catch {
                Issue.record("\(path) is left behind: \(error)")
            }
        }

        private static func makeEntries() throws -> [RaftCore.Entry] {
            let members = (1...3).map {
                Member(
                    id: NodeID($0), disk: DiskID(high: 1, low: $0 + 1), peerAddress: "h\($0):7500",
                    clientAddress: "h\($0):7400")
            }
            var commands: [Command] = []
            for id in Int32(0)..<3 {
                commands.append(
                    .registerBroker(
                        Command.RegisterBroker(
                            id: BrokerID(id), incarnation: IncarnationID(high: 7, low: UInt64(id) + 1),
                            endpoints: [Endpoint(name: "PLAINTEXT", host: "b\(id)", port: 9_092)], rack: "")))
            }
            for id in Int32(0)..<3 {
                commands.append(.unfenceBroker(id: BrokerID(id), epoch: BrokerEpoch(UInt64(id) + 2)))
            }
            commands.append(.openSession(timeoutMilliseconds: 60_000))
            for number in UInt64(1)...4 {
                commands.append(
                    .createTopic(
                        Command.CreateTopic(
                            name: "topic-\(number)", id: TopicID(high: 1, low: number), partitionCount: 3,
                            replicationFactor: 2)))
            }
            let first = RaftCore.Entry(
                term: Term(1), index: LogIndex(1), kind: .configuration,
                payload: Configuration(voters: members).encoded())
            return [first]
                + commands.enumerated().map { offset, command in
                    let envelope = LogEnvelope(
                        timeMilliseconds: 1_000 + UInt64(offset), session: nil, sequence: 0, acknowledgedBelow: 0,
                        commandBytes: command.schemaBytes())
                    return RaftCore.Entry(
                        term: Term(2), index: LogIndex(UInt64(offset) + 2), kind: .command, payload: envelope.encoded())
                }
        }

        /// Names and bytes of what the old cluster's node needs; without the hard state, in which each opening of the log
        /// notes how far it is synced.
        func files() throws -> [String: Data] {
            var contents: [String: Data] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: path + "/log") where name != "hard-state" {
                contents[name] = FileManager.default.contents(atPath: "\(path)/log/\(name)")
            }
            for name in ["metadata.sqlite", "identity"] {
                contents[name] = FileManager.default.contents(atPath: "\(path)/\(name)")
            }
            return contents
        }
    }

    private func recover(
        _ path: String, to clusterID: String = "new", acceptsDamage: Bool = false,
        reached: @escaping (Recovery.Step) throws -> Void = { _ in }
    ) throws -> RecoverReport {
        let survivor = try Survivor.open(path, acceptsDamage: acceptsDamage)
        let disk = DiskID(high: 9, low: 9)
        let recovery = Recovery(
            survivor: survivor, clusterID: clusterID, disk: disk,
            member: Member(id: NodeID(1), disk: disk, peerAddress: "h1:7500", clientAddress: "h1:7400"),
            reached: reached)
        do {
            let report = RecoverReport(recovery, folder: try recovery.run())
            try survivor.close()
            return report
        } catch {
            try survivor.close()
            throw error
        }
    }

    /// What a node of that cluster finds when it starts: its log and its state.
    private func open(_ path: String, _ clusterID: String) throws -> (log: RecoveredLog, store: MetadataStore) {
        let directory = try DataDirectory.open(path: path, expectedClusterID: clusterID, expectedNodeID: NodeID(1))
        defer { directory.close() }
        let (log, recovered) = try SegmentedLog.open(
            directory: directory.logDirectory, fileSystem: PosixFileSystem(), options: directory.logOptions)
        log.close()
        return (recovered, try MetadataStore(path: directory.databasePath))
    }

    private func partitions(_ store: MetadataStore) throws -> [Partition] {
        let reader = try store.makeReader()
        defer { do { try reader.close() } catch { Issue.record("\(error)") } }
        var all: [Partition] = []
        for number in UInt64(1)...4 {
            let query = Query.partitions(.id(TopicID(high: 1, low: number)), after: nil, limit: 100)
            guard case .partitions(let page)? = try reader.answer([query]).results.first else { continue }
            all += page.items
        }
        return all
    }

    @Test("a survivor becomes the only voter of a new cluster with all that it had, and no memory of the old one fits")
    func newCluster() throws {
        let node = try OldNode()
        let before = try node.files()
        let report = try recover(node.path)
        #expect(report.appliedIndex == 9 && report.lastIndex == 12 && report.term == 3 && report.membersLeft == [2, 3])
        #expect(report.damage.isEmpty && report.lastTimeMilliseconds == 1_010)

        let (log, store) = try open(node.path, "new")
        let position = LogPosition(
            index: LogIndex(12 + Recovery.indexStep), term: Term(3 + Recovery.termStep))
        #expect(log.base == position && log.entries.isEmpty)
        #expect(log.hardState == HardState(term: position.term, vote: nil))
        #expect(store.applied == position)
        #expect(store.version == Version(position.index.rawValue))
        #expect(store.configuration?.voters == [NodeID(1)])
        #expect(store.configuration?.members.first?.disk == DiskID(high: 9, low: 9))
        // The three entries that only the log had are there; sessions are not.
        #expect(store.summary.totals == MetadataTotals(brokers: 3, topics: 4, partitions: 12, sessions: 0))
        #expect(try store.scrub().isSound)
        for partition in try partitions(store) {
            #expect(partition.leaderEpoch >= Recovery.epochStep && partition.partitionEpoch >= Recovery.epochStep)
            #expect(partition.version == store.version)
        }
        // It goes on from there.
        let next = RaftCore.Entry(
            term: position.term.next, index: position.index.next, kind: .command, payload: node.entries[8].payload)
        #expect(try store.apply([next]).outcomes.count == 1)
        try store.close()

        #expect(throws: DataDirectoryError.self) { try open(node.path, "old") }
        // The old data lies where it lay, and putting the old identity back brings it back.
        var after = try node.files()
        after["identity"] = FileManager.default.contents(atPath: node.path + "/identity.before-recovered-1")
        #expect(after == before)
    }

    @Test("a crash after any step leaves the old node whole or the new one, and the recovery can be repeated")
    func crashes() throws {
        for step in Recovery.Step.allCases {
            let node = try OldNode()
            let before = try node.files()
            #expect(throws: Crash.self, "\(step)") {
                try recover(node.path) { if $0 == step { throw Crash() } }
            }
            if step == .identityReplaced {
                let (_, store) = try open(node.path, "new")
                #expect(store.summary.totals.topics == 4)
                try store.close()
                continue
            }
            #expect(try node.files() == before, "\(step)")
            let (log, store) = try open(node.path, "old")
            #expect(log.entries == node.entries && store.applied.index == LogIndex(9), "\(step)")
            try store.close()
            let report = try recover(node.path)
            let (_, again) = try open(node.path, "new")
            #expect(again.summary.totals.topics == 4, "\(step)")
            try again.close()
            let left = try FileManager.default.contentsOfDirectory(atPath: node.path)
            #expect(!left.contains { $0.hasSuffix(Recovery.unfinishedSuffix) }, "\(step) left garbage: \(left)")
            #expect(left.contains(report.folder ?? ""))
        }
    }

    @Test("a recovered node can be recovered again, and formatting it is refused")
    func twice() throws {
        let node = try OldNode()
        _ = try recover(node.path)
        let report = try recover(node.path, to: "newer")
        #expect(report.folder == "recovered-2" && report.oldClusterID == "new")
        let (log, store) = try open(node.path, "newer")
        #expect(log.base.index == LogIndex(12 + 2 * Recovery.indexStep))
        #expect(store.summary.totals.topics == 4)
        try store.close()
        #expect(throws: DataDirectoryError.self) {
            try DataDirectory.format(path: node.path, clusterID: "x", nodeID: NodeID(1), diskID: RecoveryTests.disk)
        }
    }

    @Test("a node that runs, and data that is damaged, are refused; damage is accepted only when that is said")
    func refusals() throws {
        let node = try OldNode()
        let held = try DataDirectory.open(path: node.path, expectedClusterID: "old", expectedNodeID: NodeID(1))
        let running = #expect(throws: CommandFailure.self) { try recover(node.path) }
        #expect(running?.code == "node_is_running")
        held.close()

        let (name, data) = try #require(
            try node.files().first { $0.value.range(of: Data("topic-3".utf8)) != nil && $0.key != "metadata.sqlite" })
        var flipped = data
        flipped[try #require(flipped.range(of: Data("topic-3".utf8))).lowerBound] ^= 1
        try flipped.write(to: URL(fileURLWithPath: "\(node.path)/log/\(name)"))
        let damaged = #expect(throws: CommandFailure.self) { try recover(node.path) }
        #expect(damaged?.code == "data_damaged" && damaged?.detail.contains("--accept-damage") == true)
        #expect(throws: CommandFailure.self) { try recover(node.path, reached: { _ in Issue.record("it began") }) }

        let report = try recover(node.path, acceptsDamage: true)
        #expect(report.damage.count == 1 && report.lastIndex == 10)
        let (_, store) = try open(node.path, "new")
        #expect(store.summary.totals.topics == 2)
        try store.close()
    }

    @Test("without a database a log from entry 1 is enough")
    func logAlone() throws {
        let node = try OldNode()
        try FileManager.default.removeItem(atPath: node.path + "/metadata.sqlite")
        for suffix in ["-wal", "-shm"]
        where FileManager.default.fileExists(atPath: node.path + "/metadata.sqlite" + suffix) {
            try FileManager.default.removeItem(atPath: node.path + "/metadata.sqlite" + suffix)
        }
        #expect(try recover(node.path).appliedIndex == 0)
        let (_, store) = try open(node.path, "new")
        #expect(store.summary.totals.topics == 4)
        try store.close()
    }

    @Test("the command asks, refuses the old cluster's id, changes nothing on a dry run, and then does it")
    func command() async throws {
        let node = try OldNode()
        let before = try node.files()
        let base = ["recover", node.path, "--new-cluster-id"]
        #expect(await Program.run(arguments: base + ["old", "--yes"]) == .usage)
        #expect(await Program.run(arguments: base + ["two words", "--yes"]) == .usage)
        #expect(
            await Program.run(arguments: ["recover", node.path + "-no", "--new-cluster-id", "new"]) == .unavailable)
        #expect(await Program.run(arguments: base + ["new", "--dry-run"]) == .done)
        #expect(try node.files() == before)
        #expect(await Program.run(arguments: base + ["new", "--yes", "-o", "json"]) == .done)
        try open(node.path, "new").store.close()
        #expect(await Program.run(arguments: ["log", "dump", node.path]) == .done)
    }
}
