/// How often something that fails may be started again: so many times within a window, then no more. Whoever spends it is not
/// helped by another start.
package struct RestartBudget: Hashable, Sendable {
    package let restartsMax: Int
    package let window: Duration
    /// When it was started again, the latest of them; at most `restartsMax`.
    private var restarts: [Duration] = []

    package init(restartsMax: Int = 5, window: Duration = .seconds(300)) {
        precondition(restartsMax > 0 && window > .zero, "\(restartsMax) restarts in \(window) are none")
        self.restartsMax = restartsMax
        self.window = window
    }

    /// - Returns: false when it was started again often enough.
    package mutating func spend(now: Duration) -> Bool {
        restarts.removeAll { $0 + window <= now }
        guard restarts.count < restartsMax else { return false }
        restarts.append(now)
        return true
    }
}
