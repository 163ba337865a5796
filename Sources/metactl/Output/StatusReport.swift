/// One node in `status`: what it says of itself, or why it says nothing.
struct NodeReport: Encodable, Equatable {
    /// Null for an endpoint that never answered and whose node is therefore not known.
    @OrNull var id: UInt64?
    /// `leader`, `follower`, `candidate`, `pre_candidate`, `learner` or `unreachable`.
    var role: String
    /// `host:port` for clients.
    var address: String
    @OrNull var term: UInt64?
    @OrNull var commitIndex: UInt64?
    @OrNull var appliedIndex: UInt64?
    @OrNull var version: UInt64?
    /// 16 hexadecimal digits: equal on two nodes with the same `applied_index`.
    @OrNull var digest: String?
    var healthy: Bool
    /// Why not healthy; null otherwise.
    @OrNull var detail: String?

    static let unreachableRole = "unreachable"

    static func unreachable(id: UInt64?, address: String, detail: String) -> NodeReport {
        NodeReport(
            id: id, role: unreachableRole, address: address, term: nil, commitIndex: nil, appliedIndex: nil,
            version: nil, digest: nil, healthy: false, detail: detail)
    }
}

/// The cluster as its nodes describe it.
struct StatusReport: Report, Equatable {
    /// This and all else that nobody says is null when no node answers.
    @OrNull var clusterID: String?
    /// The node that leads in the highest term that any node reports; null when none is known.
    @OrNull var leader: UInt64?
    @OrNull var term: UInt64?
    /// The highest version that any node has applied.
    @OrNull var version: UInt64?
    /// By id; endpoints whose node is not known come last.
    var nodes: [NodeReport]

    /// - Parameter leaders: who leads which term, as far as any node knows. Terms only grow, so the highest is the
    ///   news and lower ones are memories (Raft §5.1).
    init(clusterID: String, leaders: [(node: UInt64, term: UInt64)], nodes: [NodeReport]) {
        self.clusterID = clusterID.isEmpty ? nil : clusterID
        let term = nodes.compactMap(\.term).max()
        self.term = term
        self.leader = leaders.filter { $0.term >= term ?? 0 }.max { $0.term < $1.term }?.node
        self.version = nodes.compactMap(\.version).max()
        self.nodes = nodes.sorted {
            ($0.id ?? .max, $0.address) < ($1.id ?? .max, $1.address)
        }
    }

    var table: String {
        let leader = self.leader.map { "node \($0)" } ?? "none"
        func text(_ number: UInt64?) -> String { number.map(String.init) ?? "-" }
        let head =
            "CLUSTER \(clusterID?.printable ?? "-")   LEADER \(leader)   TERM \(text(term))   VERSION \(text(version))"
        var table = Table(["NODE", "ROLE", "ADDRESS", "TERM", "COMMIT", "APPLIED", "DIGEST", "HEALTHY"])
        for node in nodes {
            let healthy = node.healthy ? "yes" : "no" + (node.detail.map { ": \($0)" } ?? "")
            table.add([
                node.id.map(String.init) ?? "?", node.role, node.address, node.term.map(String.init) ?? "",
                node.commitIndex.map(String.init) ?? "", node.appliedIndex.map(String.init) ?? "", node.digest ?? "",
                healthy,
            ])
        }
        return head + "\n" + table.text
    }
}
