/// Something that is not as it should be: what, where, since when, and what to do about it.
struct HealthFinding: Encodable, Equatable, Sendable {
    enum Severity: String, Encodable, Hashable, Sendable, Comparable {
        /// It works, and somebody should look.
        case warning
        /// It does not work, or the next loss stops it.
        case critical

        static func < (lhs: Severity, rhs: Severity) -> Bool { lhs == .warning && rhs == .critical }
    }

    var severity: Severity
    /// Null: the cluster as a whole.
    @OrNull var node: UInt64?
    /// Stable, for scripts: a check such as `store:apply`, or `leader`, `unreachable`, `endpoint`, `digest`, `lag`, `disk`,
    /// `brokers`.
    var subject: String
    var problem: String
    /// As the node says; null when nobody knows.
    @OrNull var since: String?
    var advice: String

    /// What it is beside its words, which change from moment to moment.
    var identity: String { "\(severity.rawValue) \(node.map(String.init) ?? "") \(subject)" }
}
