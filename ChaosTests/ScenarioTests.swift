import Foundation
import Testing

/// The scenarios of `Scenarios`, each on a cluster of its own, judged by the simulator's checkers.
@Suite("Scenarios", .serialized)
struct ScenarioTests {
    @Test(
        "nothing that was promised is broken, and the fault really happened", .timeLimit(.minutes(3)),
        arguments: Scenarios.chosen)
    func scenario(_ scenario: Scenario) async throws {
        guard let report = try await ScenarioRunner(scenario).run() else { return }
        let page = ReportPage(report).write()
        print(report.summary)
        #expect(report.findings.isEmpty, "see \(page.path)")
    }

    @Test("every scenario has a name of its own and stands in README.md")
    func listed() throws {
        let page = try String(
            contentsOf: ScriptedCluster.repository.appendingPathComponent("ChaosTests/README.md"), encoding: .utf8)
        for (number, scenario) in Scenarios.all.enumerated() {
            #expect(page.contains("| \(number + 1) | \(scenario.name) |"), "scenario \(number + 1), \(scenario.name)")
        }
        #expect(Set(Scenarios.all.map(\.name)).count == Scenarios.all.count)
    }
}

extension Scenario: CustomTestStringConvertible {
    var testDescription: String { name }
}
