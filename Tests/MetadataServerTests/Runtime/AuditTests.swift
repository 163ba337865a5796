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

    @Test("the pause is found behind dots, and nothing that only looks like it is")
    func places() throws {
        let dots = String(repeating: ".", count: 40)
        #expect(subject("user.n", dots) == nil)
        #expect(subject("user.rebalance.paus", "") == nil)
        #expect(subject("user.rebalance.pausf", "user.rebalance.") == nil)
        let changes = [("user.a", dots), (Rebalance.pauseConfigName, "x"), ("user.b", dots)].map(ConfigChange.init)
        let command = Command.alterConfigs(Command.AlterConfigs(resource: .cluster, changes: changes))
        #expect(try #require(Audit.subject(of: command.schemaBytes())).contains(Rebalance.pauseConfigName))
        #expect(Audit.subject(of: Array(command.schemaBytes().prefix(3))) == nil)
    }
}
