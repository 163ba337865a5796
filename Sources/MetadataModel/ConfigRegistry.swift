/// The configuration keys that are known, and what their values may be (Kafka's `TopicConfig`).
///
/// A key that is not known is refused: a typing error would otherwise be found when data is lost. The prefix `user.` is
/// free: its values mean something to the clients only. The cluster takes the topic keys too, as defaults of its topics.
package enum ConfigRegistry {
    /// An ISR that is smaller commits nothing; from then on whoever leaves it stays an eligible leader (KIP-966).
    static let minInSyncReplicas = "min.insync.replicas"
    /// Whether a partition whose in-sync replicas are all gone gets a leader that may lack something.
    static let uncleanElection = "unclean.leader.election.enable"
    /// Keys with this prefix take any value.
    package static let freePrefix = "user."

    enum Rule: Sendable {
        case integer(ClosedRange<Int64>)
        case boolean
        case oneOf([String])
        /// Comma-separated, each at most once, at least one.
        case listOf([String])
    }

    /// By name.
    static let topicRules: [(name: String, rule: Rule)] = [
        ("cleanup.policy", .listOf(["compact", "delete"])),
        ("compression.type", .oneOf(["gzip", "lz4", "producer", "snappy", "uncompressed", "zstd"])),
        ("max.message.bytes", .integer(0...Int64(Int32.max))),
        (minInSyncReplicas, .integer(1...Int64(Int32.max))),
        ("retention.bytes", .integer(-1...Int64.max)),
        ("retention.ms", .integer(-1...Int64.max)),
        ("segment.bytes", .integer(14...Int64(Int32.max))),
        (uncleanElection, .boolean),
    ]

    /// By name.
    static let brokerRules: [(name: String, rule: Rule)] = [
        ("follower.replication.throttled.rate", .integer(0...Int64.max)),
        ("leader.replication.throttled.rate", .integer(0...Int64.max)),
    ]

    /// The first thing wrong with the changes, each name of which may come once.
    static func problem(with changes: [ConfigChange], for resource: ConfigResource) -> Refusal? {
        guard changes.count <= Limits.configChangesPerCommandMax else {
            return Refusal(
                .limitExceeded,
                "\(changes.count) configuration changes in one command, \(Limits.configChangesPerCommandMax) are allowed"
            )
        }
        var seen: Set<String> = []
        for change in changes {
            if let problem = problem(with: change, for: resource) { return problem }
            guard changes.count == 1 || seen.insert(change.name).inserted else {
                return Refusal(.invalidConfig, "configuration '\(change.name)' is changed twice in one command")
            }
        }
        return nil
    }

    private static func problem(with change: ConfigChange, for resource: ConfigResource) -> Refusal? {
        let length = change.name.utf8.count
        guard length <= Limits.configNameBytesMax else {
            return Refusal(
                .limitExceeded,
                "a configuration name has \(length) bytes, \(Limits.configNameBytesMax) are allowed")
        }
        guard length > 0, change.name.utf8.allSatisfy(TopicName.isLegal) else {
            return Refusal(
                .invalidConfig,
                "the configuration name '\(change.name)' is empty or contains a character other than a-z, A-Z, 0-9, "
                    + "'.', '_' and '-'")
        }
        if let value = change.value, value.utf8.count > Limits.configValueBytesMax {
            return Refusal(
                .limitExceeded,
                "the value of configuration '\(change.name)' has \(value.utf8.count) bytes, "
                    + "\(Limits.configValueBytesMax) are allowed")
        }
        guard !change.name.utf8.starts(with: freePrefix.utf8) else { return nil }
        let rules =
            switch resource {
            case .cluster, .topic: topicRules
            case .broker: brokerRules
            }
        guard let rule = rules.first(where: { $0.name == change.name })?.rule else {
            return Refusal(
                .invalidConfig,
                "'\(change.name)' is not a configuration of a \(resource.kind); free names begin with '\(freePrefix)'")
        }
        guard let value = change.value, let problem = rule.problem(with: value) else { return nil }
        return Refusal(.invalidConfig, "'\(value.excerpt)' is no value of configuration '\(change.name)': \(problem)")
    }
}

extension ConfigRegistry.Rule {
    /// What the value should be instead; nil when it is right.
    func problem(with value: String) -> String? {
        switch self {
        case .integer(let range):
            guard let number = Int64(value), range.contains(number) else {
                return "it is a whole number from \(range.lowerBound) to \(range.upperBound)"
            }
            return nil
        case .boolean:
            return value == "true" || value == "false" ? nil : "it is true or false"
        case .oneOf(let names):
            return names.contains(value) ? nil : "it is one of \(names.joined(separator: ", "))"
        case .listOf(let names):
            let items = value.split(separator: ",", omittingEmptySubsequences: false)
            let isValid =
                items.count <= names.count && items.allSatisfy { names.contains(String($0)) }
                && Set(items).count == items.count
            return isValid ? nil : "it is a list without repetition of \(names.joined(separator: ", "))"
        }
    }
}

extension ConfigResource {
    fileprivate var kind: String {
        switch self {
        case .cluster: "cluster"
        case .broker: "broker"
        case .topic: "topic"
        }
    }
}
