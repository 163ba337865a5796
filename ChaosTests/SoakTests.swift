import Foundation
import Testing

/// The mixed nemesis for as long as one likes; run by `ChaosTests/soak`.
@Suite("Soak", .serialized)
struct SoakTests {
    private static let environment = ProcessInfo.processInfo.environment

    @Test(
        "whatever the seed says happens, and nothing that was promised is broken",
        .enabled(
            if: ProcessInfo.processInfo.environment["CHAOS_MINUTES"] != nil, "it takes as long as CHAOS_MINUTES says"))
    func soak() async throws {
        let minutes = try #require(Self.environment["CHAOS_MINUTES"].flatMap { Double($0) })
        let seed = try #require(Self.environment["CHAOS_SEED"].flatMap { UInt64($0) })
        let nodes = seed % 2 == 0 ? 3 : 5
        let schedule = FaultSchedule(seed: seed, length: .seconds(minutes * 60), nodes: nodes)
        let count = schedule.rounds.map(\.faults.count).reduce(0, +)
        print("seed \(seed): \(count) faults in \(schedule.rounds.count) rounds on \(nodes) nodes")
        let scenario = Scenario("soak \(seed)", schedule: schedule, nodes: nodes)
        guard let report = try await ScenarioRunner(scenario, seed: seed).run() else { return }
        let page = ReportPage(report).write()
        print(report.summary)
        print("report: \(page.path)")
        #expect(report.findings.isEmpty, "see \(page.path)")
    }
}
