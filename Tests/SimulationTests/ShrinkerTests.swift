import Testing

@testable import Simulation

@Suite("Shrinking a finding")
struct ShrinkerTests {
    /// Shows the finding when both kinds may strike and 700 ms have passed.
    private func attempt(_ options: SimulationOptions) -> Shrinker.Try {
        let shows =
            options.faults.contains(.kill) && options.faults.contains(.halves) && options.faultyMilliseconds > 700
        return Shrinker.Try(
            rule: shows ? "the rule" : nil, milliseconds: min(5_000, options.faultyMilliseconds + 500),
            struck: FaultKinds([.kill, .halves, .pause, .lostMessages]))
    }

    @Test("only what the finding needs is left, and about the time that it needs")
    func smallest() {
        var shrinker = Shrinker(rule: "the rule", attempt: attempt)
        let options = SimulationOptions(nodes: 5)
        let smallest = shrinker.shrink(options, first: attempt(options))
        #expect(smallest.faults == FaultKinds([.kill, .halves]))
        #expect((701..<1_000).contains(smallest.faultyMilliseconds))
        #expect(smallest.nodes == 5)
        #expect(shrinker.tries <= Shrinker.triesMax)
    }

    @Test("a program that ended by itself tells no time, and is shrunk all the same")
    func crash() {
        var shrinker = Shrinker(rule: "the rule") { options in
            var found = attempt(options)
            found.milliseconds = .max
            return found
        }
        let options = SimulationOptions()
        var first = attempt(options)
        first.milliseconds = .max
        let smallest = shrinker.shrink(options, first: first)
        #expect(smallest.faults == FaultKinds([.kill, .halves]))
        #expect((701..<1_000).contains(smallest.faultyMilliseconds))
    }

    @Test("another rule that is broken on the way does not count")
    func otherRule() {
        var shrinker = Shrinker(rule: "the rule") { options in
            var found = attempt(options)
            if found.rule == nil { found.rule = "another rule" }
            return found
        }
        let options = SimulationOptions()
        let smallest = shrinker.shrink(options, first: attempt(options))
        #expect(smallest.faults == FaultKinds([.kill, .halves]))
    }

    @Test("a finding that does not show again is told as it was")
    func flaky() {
        var shrinker = Shrinker(rule: "the rule") { _ in .init(rule: nil, milliseconds: 0, struck: FaultKinds()) }
        let options = SimulationOptions()
        #expect(shrinker.shrink(options, first: attempt(options)) == options)
    }
}
