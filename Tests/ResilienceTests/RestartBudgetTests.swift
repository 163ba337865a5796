import Resilience
import Testing

@Suite("Restart budget")
struct RestartBudgetTests {
    @Test("five restarts in five minutes, then none until the first is that long ago")
    func window() {
        var budget = RestartBudget()
        let granted = [0, 10, 20, 30, 40, 50, 299, 300, 301, 310].map { budget.spend(now: .seconds($0)) }
        #expect(granted == [true, true, true, true, true, false, false, true, false, true])
    }
}
