import RaftCore
import Simulation
import Testing

@Suite("The linearizability checker")
struct LinearizabilityTests {
    private typealias Checker = LinearizabilityChecker<String, RegisterModel>

    /// Who did what from when to when; without an end the answer never came.
    private struct Step {
        var client: UInt64
        var operation: RegisterModel.Operation
        var answer: RegisterModel.Answer?
        var from: UInt64
        var to: UInt64?
        var key = "r"
    }

    private func write(_ value: String?, _ from: UInt64, _ to: UInt64?, by client: UInt64 = 1) -> Step {
        Step(client: client, operation: .write(value), answer: to.map { _ in .done }, from: from, to: to)
    }

    private func read(_ value: String?, _ from: UInt64, _ to: UInt64, by client: UInt64 = 2) -> Step {
        Step(client: client, operation: .read, answer: .value(value), from: from, to: to)
    }

    private func checker(_ steps: [Step]) -> Checker {
        var checker = Checker()
        for step in steps {
            let id = checker.invokes(step.operation, of: step.key, by: step.client, at: step.from)
            if let answer = step.answer, let to = step.to { checker.returns(id, answer, at: to) }
        }
        return checker
    }

    private func isLinearizable(_ steps: [Step]) -> Bool { checker(steps).verdict() == .linearizable }

    @Test("a read sees the last write, and either one of two that overlap")
    func reads() throws {
        #expect(isLinearizable([]))
        #expect(
            isLinearizable([read(nil, 1, 2), write("a", 3, 4), read("a", 5, 6), write(nil, 7, 8), read(nil, 9, 10)]))
        #expect(isLinearizable([write("a", 1, 10), read("a", 2, 3)]))
        #expect(isLinearizable([write("a", 1, 10), read(nil, 2, 3), read("a", 4, 5)]))
        #expect(isLinearizable([write("a", 1, 10), write("b", 1, 10, by: 3), read("b", 11, 12), read("b", 13, 14)]))
        // What ends at the moment when another begins overlaps with it.
        #expect(isLinearizable([write("a", 1, 5), read(nil, 5, 6)]))
    }

    @Test("a stale read, a read that goes back, and a value that nobody wrote are found")
    func planted() {
        for steps in [
            [write("a", 1, 2), write("b", 3, 4), read("a", 5, 6)],
            [write("a", 1, 20), read("a", 2, 3), read(nil, 4, 5, by: 3)],
            [write("a", 1, 2), read("c", 3, 4)],
            [write("a", 1, 2), read("b", 3, 4), write("b", 5, 6)],
            [write("a", 1, 10), write("b", 1, 10, by: 3), read("b", 11, 12), read("a", 13, 14)],
        ] {
            finds("linearizability") { try checker(steps).judge() }
        }
    }

    @Test("a write without an answer may be done late, or never, but not before it was asked for, and once")
    func unknownOutcomes() {
        #expect(isLinearizable([write("a", 1, nil), read(nil, 2, 3), read("a", 50, 60)]))
        #expect(isLinearizable([write("a", 1, nil), read(nil, 2, 3), read(nil, 50, 60)]))
        #expect(!isLinearizable([read("a", 1, 2), write("a", 3, nil)]))
        #expect(
            !isLinearizable([
                write("a", 1, nil), read("a", 2, 3), write("b", 4, 5, by: 3), read("b", 6, 7), read("a", 8, 9),
            ]))
    }

    @Test("what is withdrawn had no effect")
    func withdrawn() throws {
        var checker = checker([write("b", 2, 3)])
        let id = checker.invokes(.write("a"), of: "r", by: 9, at: 1)
        let late = checker.invokes(.read, of: "r", by: 8, at: 4)
        checker.returns(late, .value("a"), at: 5)
        try checker.judge()
        checker.withdraws(id)
        finds("linearizability") { try checker.judge() }
    }

    @Test("a replacement happens if its expectation holds, and only then")
    func replacements() {
        func replace(_ old: String?, _ new: String, _ done: Bool, _ from: UInt64, _ to: UInt64, by client: UInt64 = 1)
            -> Step
        {
            Step(
                client: client, operation: .replace(expected: old, new), answer: done ? .done : .mismatch, from: from,
                to: to)
        }
        #expect(isLinearizable([replace(nil, "a", true, 1, 2), replace(nil, "b", false, 3, 4), read("a", 5, 6)]))
        #expect(!isLinearizable([replace(nil, "a", true, 1, 9), replace(nil, "b", true, 1, 9, by: 3)]))
        #expect(!isLinearizable([replace(nil, "a", false, 1, 2)]))
        #expect(!isLinearizable([replace("x", "a", true, 1, 2)]))
    }

    @Test("objects are judged one by one, and the first bad one is named")
    func keys() {
        var steps = [write("a", 1, 2), read("a", 3, 4)]
        steps.append(Step(client: 1, operation: .read, answer: .value("a"), from: 5, to: 6, key: "other"))
        guard case .notLinearizable("other", _) = checker(steps).verdict() else {
            Issue.record("the history of 'other' is not linearizable")
            return
        }
    }

    @Test("a search that is too long ends as undecided, which is a finding only if asked for")
    func undecided() throws {
        // Sixteen overlapping writes, and a read of a value that was overwritten for sure.
        var steps = (0..<16).map { write("v\($0)", 1, 100, by: UInt64($0)) }
        steps += (0..<16).map { read("v\($0)", 2, 99, by: 100 + UInt64($0)) }
        steps.append(write("last", 101, 102))
        steps.append(read("v3", 103, 104))
        #expect(checker(steps).verdict(stepsMax: 1_000) == .undecided("r"))
        try checker(steps).judge(stepsMax: 1_000)
        finds("linearizability") { try checker(steps).judge(stepsMax: 1_000, findsUndecided: true) }
        #expect(isLinearizable(Array(steps.dropLast())))
    }

    @Test("the verdict is that of trying every order, for 4,000 random histories")
    func againstEveryOrder() {
        var generator = SeededGenerator(seed: 11)
        var good = 0
        for _ in 0..<4_000 {
            let steps = randomHistory(&generator)
            let expected = someOrderExplains(steps)
            if expected { good += 1 }
            #expect(isLinearizable(steps) == expected, "\(steps)")
        }
        #expect((400..<3_600).contains(good), "\(good) of the histories are linearizable")
    }

    private func randomHistory(_ generator: inout SeededGenerator) -> [Step] {
        (0..<(2 + generator.below(5))).map { number in
            let from = UInt64(generator.below(12))
            let to = from + 1 + UInt64(generator.below(6))
            let value = ["a", "b", nil][generator.below(3)]
            let isLost = generator.below(5) == 0
            switch generator.below(5) {
            case 0: return write(value, from, isLost ? nil : to, by: UInt64(number))
            case 1:
                let answer: RegisterModel.Answer? = isLost ? nil : generator.below(2) == 0 ? .done : .mismatch
                return Step(
                    client: UInt64(number), operation: .replace(expected: ["a", nil][generator.below(2)], value),
                    answer: answer, from: from, to: answer == nil ? nil : to)
            default: return read(value, from, to, by: UInt64(number))
            }
        }
    }

    /// By brute force: any order of any choice of the unanswered that keeps what did not overlap.
    private func someOrderExplains(_ steps: [Step]) -> Bool {
        func goesOn(_ state: String?, _ rest: [Step]) -> Bool {
            guard rest.contains(where: { $0.to != nil }) else { return true }
            return rest.indices.contains { chosen in
                let step = rest[chosen]
                let comesTooEarly = rest.contains { $0.to.map { $0 < step.from } ?? false }
                guard !comesTooEarly, let after = RegisterModel.step(state, step.operation, answer: step.answer) else {
                    return false
                }
                var others = rest
                others.remove(at: chosen)
                return goesOn(after, others)
            }
        }
        return goesOn(nil, steps)
    }
}
