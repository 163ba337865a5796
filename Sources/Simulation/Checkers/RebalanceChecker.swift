package import MetadataModel

/// One rebalance at a time, and no step of one that is over (pitfall: a new leader begins a second rebalance beside the first).
package struct RebalanceChecker {
    /// Under way, or the last one that ended.
    package private(set) var latest: Rebalance?

    package init() {}

    /// The cluster's row says this from `version` on.
    package mutating func becomes(_ rebalance: Rebalance, at version: Version) throws(Violation) {
        defer { latest = rebalance }
        switch (latest?.isRunning ?? false, rebalance.isRunning) {
        case (true, true):
            throw Violation(
                rule: "one rebalance at a time",
                detail: "\(rebalance) begins at version \(version) while \(String(describing: latest)) runs")
        case (false, true):
            guard rebalance.id == version else { break }
            return
        case (true, false):
            guard rebalance.id == latest?.id else { break }
            return
        case (false, false):
            break
        }
        throw Violation(
            rule: "a rebalance begins and ends once",
            detail: "\(String(describing: latest)) becomes \(rebalance) at version \(version)")
    }

    /// A step was carried out on a partition; `target` is nil where a move was taken back.
    ///
    /// - Parameter isDraining: whether a broker is to be emptied.
    package func moves(
        _ before: Partition, to target: [BrokerID]?, becauseOf id: Version?, at version: Version,
        isDraining: (BrokerID) -> Bool
    ) throws(Violation) {
        if let id {
            guard latest?.isRunning == true, latest?.id == id else {
                throw Violation(
                    rule: "steps belong to what runs",
                    detail: "\(before) moves for rebalance \(id) at version \(version), \(String(describing: latest))")
            }
        } else if let target, !before.replicas.contains(where: { !target.contains($0) && isDraining($0) }) {
            throw Violation(
                rule: "steps belong to what runs",
                detail: "\(before) moves to \(target) at version \(version) off no broker that drains")
        }
    }
}
