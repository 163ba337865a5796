import Coordination
import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

/// What the coordinator of a member asks for and proposes goes through the log like everything else.
@Suite("the coordinator of a replica")
struct CoordinationTests {
    private func elected(_ options: ReplicaOptions) -> Alone {
        var alone = Alone(options: options)
        alone.elect()
        return alone
    }

    private func surveys(_ alone: Alone) -> [SurveyRequest] {
        alone.others.compactMap { if case .survey(let request) = $0 { request } else { nil } }
    }

    private func report(_ ticket: UInt64, level: UInt32) -> SurveyReport {
        SurveyReport(ticket: ticket, version: .zero, featureLevel: level)
    }

    @Test("a new leader looks at the state once, and an idle cluster stays idle")
    func idle() throws {
        var alone = elected(ReplicaOptions(coordinator: CoordinatorOptions()))
        alone.now += 20
        alone.replica.tick(now: alone.now)
        alone.settle()
        let request = try #require(surveys(alone).first)
        #expect(request.scan == nil)
        let end = alone.replica.core.lastIndex
        alone.others = []
        alone.replica.surveyed(report(request.ticket, level: Limits.featureLevelMax))
        // Less than until sessions are swept.
        for _ in 0..<300 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.settle()
        }
        #expect(surveys(alone) == [] && alone.replica.core.lastIndex == end)
        #expect(alone.replica.coordinatorStatus?.activity == .idle)
    }

    @Test("nothing is looked at before what was proposed is applied")
    func settled() throws {
        let level = Limits.featureLevelMax
        var alone = elected(ReplicaOptions(coordinator: CoordinatorOptions(), raisesFeatureLevel: true))
        alone.now += 20
        alone.replica.tick(now: alone.now)
        alone.settle()
        let request = try #require(surveys(alone).first)
        alone.others = []
        alone.replica.surveyed(report(request.ticket, level: 0))
        alone.now += 20
        alone.replica.tick(now: alone.now)
        alone.turn()
        // The level is on its way to the disk, for less long than a leader waits for one: no survey, however often it ticks.
        for _ in 0..<10 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.turn()
        }
        #expect(surveys(alone) == [])
        let proposed = alone.replica.core.entries(in: LogIndex(1)..<alone.replica.core.lastIndex.next).compactMap {
            entry -> Command? in
            guard entry.kind == .command else { return nil }
            return LogCommand(decoding: entry.payload).command
        }
        #expect(proposed.filter { $0 == .setFeatureLevel(level) }.count == 1)
        for _ in 0..<200 {
            alone.settle()
            alone.now += 20
            alone.replica.tick(now: alone.now)
        }
        alone.settle()
        #expect(surveys(alone).count == 1)
    }

    @Test("without options nothing is done by itself")
    func off() {
        var alone = elected(ReplicaOptions())
        for _ in 0..<100 {
            alone.now += 20
            alone.replica.tick(now: alone.now)
            alone.settle()
        }
        #expect(surveys(alone) == [] && alone.replica.coordinatorStatus == nil)
    }
}
