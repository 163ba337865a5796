import Testing

@testable import MetadataServer

@Suite("Health: judgements and checks that may hang")
struct HealthJudgementTests {
    private static let grace = HealthJudgement.Grace(toFail: .seconds(2), toRecover: .seconds(1))

    /// The verdict after each observation: `.` for one that works, `x` for one that fails, 500 ms apart.
    private func verdicts(_ observations: String, _ grace: HealthJudgement.Grace = grace) -> String {
        var judgement = HealthJudgement(grace: grace)
        var text = ""
        for (place, observation) in observations.enumerated() {
            judgement.observe(
                observation == "x" ? .fail("broken") : .pass, at: .milliseconds(500) * place)
            switch judgement.verdict?.result.status {
            case .pass: text += "."
            case .warn: text += "w"
            case .fail: text += "x"
            case nil: text += "?"
            }
        }
        return text
    }

    @Test(
        "a verdict changes when the other side was seen twice and for long enough",
        arguments: [
            // The first observation counts at once.
            ("x", "x"), (".", "."),
            // An election is shorter than the grace.
            (".xxx.", ".www."),
            (".xxxxxx", ".wwwwxx"),
            // Flapping never fails it, and never heals it.
            (".xx.xx.xx.xx", ".ww.ww.ww.ww"),
            (".xxxxx..x..x...", ".wwwwxxxxxxxxx."),
            // What never worked works at once.
            ("xxx.x", "xxx.w"),
            // What failed once and heals for a moment is still ill.
            (".xxxxx..xx...", ".wwwwxxxxxxx."),
        ])
    func changes(observations: String, expected: String) {
        #expect(verdicts(observations) == expected)
    }

    @Test("without a grace two observations decide, never one")
    func twice() {
        #expect(verdicts(".x.xx..", .none) == ".w.wxx.")
    }

    @Test("a verdict is as old as what was first seen of it, and the detail is the latest")
    func since() throws {
        var judgement = HealthJudgement(grace: Self.grace)
        judgement.observe(.pass, at: .seconds(10))
        judgement.observe(.warn("slow"), at: .seconds(11))
        #expect(judgement.verdict == .init(result: .warn("slow"), since: .seconds(11)))
        judgement.observe(.fail("gone"), at: .seconds(12))
        #expect(judgement.verdict == .init(result: .warn("gone"), since: .seconds(12)))
        judgement.observe(.fail("gone for 2 s"), at: .seconds(14))
        #expect(judgement.verdict == .init(result: .fail("gone for 2 s"), since: .seconds(12)))
        judgement.observe(.fail("gone for 3 s"), at: .seconds(15))
        #expect(judgement.verdict == .init(result: .fail("gone for 3 s"), since: .seconds(12)))
        judgement.observe(.pass, at: .seconds(20))
        let recovering = try #require(judgement.verdict)
        #expect(recovering.result.status == .fail && recovering.result.detail.contains("gone for 3 s"))
        #expect(recovering.since == .seconds(12))
        judgement.observe(.pass, at: .seconds(21))
        #expect(judgement.verdict == .init(result: .pass, since: .seconds(20)))
    }

    @Test("a check is begun at its time, said to hang after its timeout, and not begun beside itself")
    func probe() {
        var run = HealthProbeRun(interval: .seconds(5), timeout: .seconds(2), now: .zero)
        #expect(run.tick(now: .zero) == .begin)
        #expect(run.tick(now: .seconds(1)) == .wait)
        #expect(run.ended(now: .milliseconds(1_100), isNews: false) == .milliseconds(1_100))
        #expect(run.tick(now: .seconds(6)) == .wait)
        #expect(run.tick(now: .milliseconds(6_100)) == .begin)
        #expect(run.tick(now: .seconds(8)) == .wait)
        #expect(run.tick(now: .milliseconds(8_100)) == .hangs(.seconds(2), isNew: true))
        #expect(run.tick(now: .seconds(60)) == .hangs(.milliseconds(53_900), isNew: false))
        // What is news is looked at again soon, and then in the usual time.
        #expect(run.ended(now: .seconds(61), isNews: true) == .milliseconds(54_900))
        #expect(run.tick(now: .milliseconds(61_900)) == .wait)
        #expect(run.tick(now: .seconds(62)) == .begin)
        #expect(run.ended(now: .seconds(62), isNews: false) == .zero)
        #expect(run.tick(now: .milliseconds(66_900)) == .wait)
    }
}
