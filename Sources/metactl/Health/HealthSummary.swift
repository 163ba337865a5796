import MetadataClient

/// A survey as it is printed.
struct HealthSummary: Report {
    struct Node: Encodable {
        @OrNull var id: UInt64?
        var address: String
        @OrNull var role: String?
        /// `pass`, `warn` or `fail`; null when it did not say.
        @OrNull var status: String?
        /// HTTP status by path; null where there was no answer.
        var endpoints: [String: Endpoint]
        @OrNull var appliedIndex: UInt64?
    }

    struct Endpoint: Encodable {
        @OrNull var status: Int?
        var milliseconds: Double
    }

    /// `pass`, `warn` or `fail`.
    var status: String
    @OrNull var clusterID: String?
    @OrNull var leader: UInt64?
    var nodes: [Node]
    var findings: [HealthFinding]

    init(_ survey: HealthSurvey, findings: [HealthFinding]) {
        self.findings = findings
        status = findings.contains { $0.severity == .critical } ? "fail" : findings.isEmpty ? "pass" : "warn"
        clusterID = survey.answering.first?.clusterID
        leader = survey.leader?.nodeID
        nodes = survey.nodes.map { node in
            let answers = node.pages?.answers ?? [:]
            return Node(
                id: node.id, address: node.address, role: node.status?.role, status: node.pages?.page?.status,
                endpoints: answers.mapValues {
                    Endpoint(status: $0.status, milliseconds: ($0.milliseconds * 100).rounded() / 100)
                }, appliedIndex: node.status?.appliedIndex)
        }
    }

    var isFailing: Bool { status == "fail" }

    var table: String {
        let leader = leader.map { "node \($0)" } ?? "none"
        var lines = ["CLUSTER \(clusterID?.printable ?? "-")   HEALTH \(status)   LEADER \(leader)"]
        var table = Table(["NODE", "HEALTH", "ROLE", "LIVE", "READY", "RAFT", "SLOWEST", "APPLIED", "ADDRESS"])
        for node in nodes {
            func code(_ path: String) -> String { node.endpoints[path]?.status.map(String.init) ?? "" }
            let slowest = node.endpoints.values.map(\.milliseconds).max()
            table.add([
                node.id.map(String.init) ?? "?", node.status ?? "", node.role ?? "", code("/health/live"),
                code("/health/ready"), code("/health/raft"), slowest.map { "\($0) ms" } ?? "",
                node.appliedIndex.map(String.init) ?? "", node.address,
            ])
        }
        lines.append(table.text)
        if !findings.isEmpty { lines.append("") }
        for finding in findings {
            let place = finding.node.map { "node \($0)" } ?? "cluster"
            let since = finding.since.map { ", since \($0)" } ?? ""
            lines.append("\(finding.severity.rawValue.uppercased()) \(place): \(finding.problem)\(since)".printable)
            lines.append("  -> \(finding.advice)")
        }
        return lines.joined(separator: "\n")
    }
}
