import MetadataModel
import MetadataSchema
import RaftCore
import RaftLog
import Testing

@testable import metactl

@Suite("Log records")
struct LogRecordTests {
    private func entry(_ kind: RaftCore.Entry.Kind, _ payload: [UInt8]) -> DumpedRecord {
        .entry(
            file: "log/1", offset: 64,
            entry: RaftCore.Entry(term: Term(3), index: LogIndex(17), kind: kind, payload: payload))
    }

    @Test("a command is shown with its session, sequence and what it does")
    func command() throws {
        let create = Command.createTopic(
            .init(
                name: "orders", id: TopicID(high: 0, low: 1), partitionCount: 3, replicationFactor: 2,
                configs: [ConfigChange(name: "retention.ms", value: "1000")]))
        let envelope = LogEnvelope(
            timeMilliseconds: 5_000, session: SessionID(9), sequence: 4, acknowledgedBelow: 2,
            commandBytes: create.schemaBytes())
        let report = LogRecordReport(entry(.command, envelope.encoded()))
        #expect(
            report.table
                == "17        3     command       9/4           create_topic            "
                + "orders partitions=3 replication=2 id=00000000000000000000000000000001 retention.ms=1000")
        #expect(
            try JSON.line(report)
                == #"{"acknowledged_below":2,"bytes":\#(envelope.encoded().count),"command":"create_topic","file":"log/1","#
                + #""index":17,"kind":"command","offset":64,"sequence":4,"session":9,"#
                + #""summary":"orders partitions=3 replication=2 id=00000000000000000000000000000001 retention.ms=1000","#
                + #""term":3,"time_ms":5000}"#)
    }

    @Test("a command that nobody understands is a line like any other (an entry must not stop the dump)")
    func unknownCommand() {
        let garbled = LogRecordReport(entry(.command, [9, 9, 9]))
        #expect(garbled.command == "unknown")
        #expect(garbled.isEssential)
        let envelope = LogEnvelope(
            timeMilliseconds: 1, session: nil, sequence: 0, acknowledgedBelow: 0, commandBytes: [0xff, 0xff])
        let foreign = LogRecordReport(entry(.command, envelope.encoded()))
        #expect(foreign.command == "unknown")
        #expect(foreign.session == nil)
    }

    @Test("a configuration is shown with its voters and learners")
    func configuration() {
        let members = (1...3).map {
            Member(id: NodeID($0), disk: DiskID(high: 1, low: $0), peerAddress: "n\($0):1", clientAddress: "n\($0):2")
        }
        let configuration = Configuration(members: members, voters: [NodeID(1), NodeID(2)], learners: [NodeID(3)])
        let report = LogRecordReport(entry(.configuration, configuration.encoded()))
        #expect(report.summary == "voters=1,2 learners=3 1@n1:1 2@n2:1 3@n3:1")
    }

    @Test("the end of a whole log is no damage; anything else that stops reading is")
    func damage() {
        func stopped(_ reason: String) -> LogRecordReport {
            LogRecordReport(.stopped(file: "log/1", offset: 900, record: LogIndex(18), reason: reason))
        }
        #expect(stopped(LogDump.endReason).kind == "end")
        #expect(!stopped(LogDump.endReason).isEssential)
        #expect(stopped("checksum").kind == "damage")
        #expect(stopped("checksum").isEssential)
    }

    @Test("long values and many keys are cut in a summary")
    func longSummary() {
        let changes = (0..<6).map {
            ConfigChange(name: "k\($0)", value: $0 == 0 ? String(repeating: "x", count: 50) : nil)
        }
        let summary = CommandSummary(.alterConfigs(.init(resource: .cluster, changes: changes)))
        #expect(summary.facts == "cluster k0=\(String(repeating: "x", count: 40))… -k1 -k2 -k3 and 2 more")
    }
}
