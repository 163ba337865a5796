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
        let isCalm = Self.environment["CHAOS_CALM"] != nil
        let length = Duration.seconds(minutes * 60)
        let schedule = isCalm ? FaultSchedule(calmFor: length) : FaultSchedule(seed: seed, length: length, nodes: nodes)
        let count = schedule.rounds.map(\.faults.count).reduce(0, +)
        print("seed \(seed): \(count) faults in \(schedule.rounds.count) rounds on \(nodes) nodes")
        var scenario = Scenario("\(isCalm ? "calm" : "soak") \(seed)", schedule: schedule, nodes: nodes)
        scenario.keepsBrokers = isCalm
        guard let report = try await ScenarioRunner(scenario, seed: seed).run() else { return }
        let page = ReportPage(report).write()
        print(report.summary)
        print("report: \(page.path)")
        #expect(report.findings.isEmpty, "see \(page.path)")
        if isCalm { expectNoGrowth(report) }
    }

    /// Whoever loses a little with each request is too large after a year.
    private func expectNoGrowth(_ report: RunReport) {
        for id in 1...report.nodes {
            let memory = report.growth(of: id) { $0.process?.residentBytes }
            let descriptors = report.growth(of: id) { $0.process?.descriptors }
            let files = report.growth(of: id) { $0.files }
            guard let memory, let descriptors, let files else {
                Issue.record("node \(id) was not looked at")
                continue
            }
            print(
                "node \(id), second fifth and last: \(memory.early >> 20) and \(memory.late >> 20) MiB, "
                    + "\(descriptors.early) and \(descriptors.late) descriptors, \(files.early) and \(files.late) files"
            )
            #expect(memory.late <= memory.early + memory.early / 10, "node \(id) grows")
            #expect(descriptors.late <= descriptors.early + 4, "node \(id) keeps descriptors")
            #expect(files.late <= files.early + 4, "node \(id) keeps files")
        }
    }
}
