/// One thing that is wrong with the configuration.
package struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
    /// The key as it is written in the file, or the path of the file.
    package var key: String
    /// What was found, and where when that was not the file; nothing when something is missing.
    package var value: String?
    /// Why it cannot be used, and what can.
    package var reason: String

    package init(key: String, value: String? = nil, reason: String) {
        self.key = key
        self.value = value
        self.reason = reason
    }

    package var description: String {
        guard let value else { return "\(key): \(reason)" }
        return "\(key) = \(value): \(reason)"
    }
}

/// Everything that is wrong with the configuration, at once: nobody should have to start a node five times to find five
/// mistakes. Nothing has been started.
package struct ConfigurationProblems: Error, Hashable, Sendable, CustomStringConvertible {
    /// `EX_CONFIG` of sysexits(3).
    package static let exitCode: Int32 = 78

    /// At least one, in the order of the keys.
    package var problems: [ConfigurationProblem]

    package init(_ problems: [ConfigurationProblem]) {
        precondition(!problems.isEmpty, "an error without a problem")
        self.problems = problems
    }

    package var description: String {
        let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
        return (["\(count) in the configuration:"] + problems.map { "  \($0)" }).joined(separator: "\n")
    }
}
