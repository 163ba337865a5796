/// Looks for a smaller run that still shows a finding: fewer kinds of faults, a shorter time. Each kind draws from a stream of
/// its own, so what is left happens as it did before, as far as the cluster lets it.
package struct Shrinker {
    /// How one try ended.
    package struct Try: Hashable, Sendable {
        /// What was violated; nil when nothing was.
        package var rule: String?
        /// When it ended.
        package var milliseconds: UInt64
        /// What struck until then.
        package var struck: FaultKinds

        package init(rule: String?, milliseconds: UInt64, struck: FaultKinds) {
            self.rule = rule
            self.milliseconds = milliseconds
            self.struck = struck
        }
    }

    /// Runs, at most.
    package static let triesMax = 60

    private let rule: String
    private let attempt: (SimulationOptions) -> Try
    private(set) package var tries = 0

    package init(rule: String, attempt: @escaping (SimulationOptions) -> Try) {
        self.rule = rule
        self.attempt = attempt
    }

    /// The smallest options found under which the same rule is violated.
    package mutating func shrink(_ options: SimulationOptions, first: Try) -> SimulationOptions {
        var best = options
        var found = first
        // Kinds that never struck have no part in it.
        var candidate = best
        candidate.faults = found.struck
        if let smaller = fails(candidate) { (best, found) = (candidate, smaller) }
        // In the first phase nothing after the finding matters.
        if found.milliseconds < best.faultyMilliseconds {
            candidate = best
            candidate.faultyMilliseconds = found.milliseconds + 1
            if let smaller = fails(candidate) { (best, found) = (candidate, smaller) }
        }
        var isSmaller = true
        while isSmaller, tries < Shrinker.triesMax {
            isSmaller = false
            for kind in best.faults.list where tries < Shrinker.triesMax {
                candidate = best
                candidate.faults.remove(kind)
                guard let smaller = fails(candidate) else { continue }
                (best, found) = (candidate, smaller)
                isSmaller = true
            }
            while best.faultyMilliseconds > 250, tries < Shrinker.triesMax {
                candidate = best
                // A program that ended by itself tells no time.
                candidate.faultyMilliseconds = max(1, min(found.milliseconds, best.faultyMilliseconds * 3 / 4))
                guard let smaller = fails(candidate) else { break }
                (best, found) = (candidate, smaller)
                isSmaller = true
            }
        }
        return best
    }

    private mutating func fails(_ options: SimulationOptions) -> Try? {
        tries += 1
        let result = attempt(options)
        return result.rule == rule ? result : nil
    }
}
