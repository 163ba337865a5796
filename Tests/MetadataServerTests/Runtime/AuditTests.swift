import MetadataModel
import MetadataSchema
import Testing

@testable import MetadataServer

/// Which writes are an operator's doing and have a line in the audit.
@Suite("Audit") struct AuditTests {
    private func subject(_ name: String, _ value: String) -> String? {
        let change = ConfigChange(name: name, value: value)
        let command = Command.alterConfigs(Command.AlterConfigs(resource: .cluster, changes: [change]))
        return Audit.subject(of: command.schemaBytes())
    }

    @Test("a pause of rebalances is audited however long its reason is, and without it", arguments: [1, 90, 250])
    func pause(bytes: Int) throws {
        let reason = String(repeating: "x", count: bytes)
        let line = try #require(subject(Rebalance.pauseConfigName, reason))
        #expect(line.contains(Rebalance.pauseConfigName))
        #expect(!line.contains("xx"), "values may be nobody's business")
    }

    @Test("settings are the users' own, also one whose value names the pause")
    func settings() {
        #expect(subject("user.n", "1") == nil)
        #expect(subject("user.n", Rebalance.pauseConfigName) == nil)
    }
}
