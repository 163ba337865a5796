package import RaftCore

/// In effect is the last configuration in the log, committed or not (Raft §6); if the log holds none, the last committed one
/// (pitfall: a truncated configuration, or one older than a snapshot, stays in effect).
package struct ConfigurationInEffectChecker {
    private struct Committed {
        var index: LogIndex
        var configuration: [UInt8]
    }

    /// By rising index.
    private var committed: [Committed] = []

    package init() {}

    /// The configuration at `index` is committed. Configurations are compared by their bytes.
    package mutating func commits(_ configuration: [UInt8], at index: LogIndex) {
        if let last = committed.last, index <= last.index { return }
        committed.append(Committed(index: index, configuration: configuration))
    }

    /// What `node` has in effect, with a log that begins after `base` and whose last configuration is `last`.
    package func hasInEffect(
        _ configuration: [UInt8], last: [UInt8]?, base: LogIndex, on node: NodeID
    ) throws(Violation) {
        guard let expected = last ?? committed.last(where: { $0.index <= base })?.configuration,
            expected != configuration
        else { return }
        throw Violation(
            rule: "configuration in effect",
            detail: "node \(node) goes by another configuration than the last in its log, which begins after \(base)")
    }
}
