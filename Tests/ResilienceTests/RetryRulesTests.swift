import Resilience
import Testing

@Suite("Retry rules")
struct RetryRulesTests {
    private let rules = RetryRules(base: .milliseconds(10), cap: .milliseconds(35), attemptsMax: 4)

    private func verdict(
        _ category: RetryRules.Category, isDefinite: Bool = true, isRepeatable: Bool = true, failures: Int = 1,
        tokens: Int = 1, asked: Duration = .zero
    ) -> RetryRules.Verdict {
        var budget = RetryBudget(capacity: max(1, tokens), milliTokensPerCall: 0, milliTokensPerSecond: 0)
        if tokens == 0 { _ = budget.withdraw() }
        var random = SplitMix64(seed: 3)
        return rules.verdict(
            on: .init(
                category: category, isDefinite: isDefinite, isRepeatable: isRepeatable, askedPause: asked),
            failures: failures, budget: &budget, using: &random)
    }

    @Test("only what a later try may change is tried again", arguments: RetryRules.Category.allCases)
    func categories(_ category: RetryRules.Category) {
        let isTried = verdict(category) != .giveUp
        #expect(isTried == (category == .retriable || category == .transient))
    }

    @Test("an open outcome is tried again only where a second try is recognized (pitfall 31)")
    func openOutcomes() {
        #expect(verdict(.transient, isDefinite: false, isRepeatable: false) == .giveUp)
        #expect(verdict(.transient, isDefinite: false, isRepeatable: true) != .giveUp)
        #expect(verdict(.transient, isDefinite: true, isRepeatable: false) != .giveUp)
    }

    @Test("attempts and the budget end it, and a call that may not be tried again takes nothing from the budget")
    func bounds() {
        #expect(verdict(.transient, failures: 3) != .giveUp)
        #expect(verdict(.transient, failures: 4) == .giveUp)
        #expect(verdict(.transient, tokens: 0) == .giveUp)
        var budget = RetryBudget(capacity: 2, milliTokensPerCall: 0, milliTokensPerSecond: 0)
        var random = SplitMix64(seed: 3)
        for failure in [
            RetryRules.Failure(category: .fatal, isDefinite: true, isRepeatable: true),
            .init(category: .transient, isDefinite: false, isRepeatable: false),
        ] {
            _ = rules.verdict(on: failure, failures: 1, budget: &budget, using: &random)
        }
        _ = rules.verdict(
            on: .init(category: .transient, isDefinite: true, isRepeatable: true), failures: 4, budget: &budget,
            using: &random)
        #expect(budget.available == 2)
    }

    @Test("the pause is what was asked for and a random part, whose bound doubles up to its cap")
    func pauses() {
        var random = SplitMix64(seed: 9)
        for (failures, bound) in [(1, 10), (2, 20), (3, 35), (100, 35)] {
            let waits = (0..<500).map { _ in rules.pause(afterFailures: failures, using: &random) }
            #expect(waits.allSatisfy { $0 >= .zero && $0 <= .milliseconds(bound) })
            #expect(waits.contains { $0 > .milliseconds(bound) * 9 / 10 })
        }
        guard case .again(let pause) = verdict(.transient, asked: .seconds(1)) else {
            Issue.record("not tried again")
            return
        }
        #expect(pause >= .seconds(1) && pause <= .seconds(1) + .milliseconds(10))
    }
}
