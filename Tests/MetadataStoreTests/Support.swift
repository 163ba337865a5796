import Foundation
import MetadataModel
import MetadataSchema
import RaftCore

@testable import MetadataStore

/// A directory of its own for a test, removed when the test lets go of it.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "metadata-store-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    /// Copies a database as it lies on the disk, while it is open: what a process that is killed here leaves behind.
    func copyDatabase(_ from: String, to: String) throws {
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: from + suffix) {
            try? FileManager.default.removeItem(atPath: to + suffix)
            try FileManager.default.copyItem(atPath: from + suffix, toPath: to + suffix)
        }
    }
}

func bytes(of path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

func commandEntry(
    _ index: UInt64, _ command: Command, term: UInt64 = 1, time: UInt64 = 0, session: SessionID? = nil,
    sequence: UInt64 = 0, acknowledgedBelow: UInt64 = 0
) -> Entry {
    let envelope = LogEnvelope(
        timeMilliseconds: time, session: session, sequence: sequence, acknowledgedBelow: acknowledgedBelow,
        commandBytes: command.schemaBytes())
    return Entry(term: Term(term), index: LogIndex(index), kind: .command, payload: envelope.encoded())
}

func registration(_ id: Int32, rack: String = "") -> Command {
    .registerBroker(
        Command.RegisterBroker(
            id: BrokerID(id), incarnation: IncarnationID(high: 7, low: UInt64(id) + 1),
            endpoints: [Endpoint(name: "PLAINTEXT", host: "broker-\(id)", port: 9_092)], rack: rack))
}

func topicCreation(_ name: String, id: UInt64, partitions: Int32 = 3, replication: Int16 = 2) -> Command {
    .createTopic(
        Command.CreateTopic(
            name: name, id: TopicID(high: 1, low: id), partitionCount: partitions, replicationFactor: replication))
}

func configChange(_ topic: String, _ key: String, _ value: String?) -> Command {
    .alterConfigs(
        Command.AlterConfigs(
            resource: .topic(.name(topic)), changes: [ConfigChange(name: "user.\(key)", value: value)]))
}

/// Three active brokers and two topics, from entry 1: what most tests begin with. The next index is 9.
func smallCluster() -> [Entry] {
    var entries: [Entry] = []
    for id in Int32(0)..<3 { entries.append(commandEntry(UInt64(entries.count + 1), registration(id))) }
    for id in Int32(0)..<3 {
        // A broker's epoch is the index of its registration.
        let epoch = BrokerEpoch(UInt64(id) + 1)
        entries.append(commandEntry(UInt64(entries.count + 1), .unfenceBroker(id: BrokerID(id), epoch: epoch)))
    }
    entries.append(commandEntry(7, topicCreation("orders", id: 1)))
    entries.append(commandEntry(8, topicCreation("payments", id: 2, partitions: 2, replication: 3)))
    return entries
}

func configuration(_ voters: UInt64...) -> RaftCore.Configuration {
    RaftCore.Configuration(
        voters: voters.map {
            Member(
                id: NodeID($0), disk: DiskID(high: 1, low: $0), peerAddress: "n\($0):1", clientAddress: "n\($0):2")
        })
}

func configurationEntry(_ index: UInt64, _ configuration: RaftCore.Configuration) -> Entry {
    Entry(term: Term(1), index: LogIndex(index), kind: .configuration, payload: configuration.encoded())
}

extension MetadataStore {
    func answer(_ query: Query) throws -> QueryResult {
        let reader = try makeReader()
        defer { try? reader.close() }
        return try reader.answer([query]).results[0]
    }

    /// The snapshot's bytes: equal exactly when the states are.
    func dump(in directory: TemporaryDirectory, _ name: String = "dump") throws -> [UInt8] {
        _ = try writeSnapshot(to: directory.file(name))
        return try bytes(of: directory.file(name))
    }
}
