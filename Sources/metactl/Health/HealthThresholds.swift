import MetadataClient

/// From when on something is worth a line.
struct HealthThresholds: Hashable, Sendable {
    /// Entries that a node may be behind what the leader has committed.
    var lagEntries: UInt64 = 10_000
    /// How long a health page may take.
    var pageMilliseconds = 1_000.0
    /// Room that a node should have.
    var freeBytes: UInt64 = 2 << 30
}

extension HealthSurvey {
    /// All that is wrong, the worst first.
    func findings(_ thresholds: HealthThresholds) -> [HealthFinding] {
        let found =
            leadership() + nodes.flatMap { findings(of: $0, thresholds) } + digests() + fencedBrokers()
        // The order within a severity stays.
        return found.filter { $0.severity == .critical } + found.filter { $0.severity == .warning }
    }

    private func leadership() -> [HealthFinding] {
        let unreachable = nodes.filter { $0.status == nil }
        var found: [HealthFinding] = []
        if leader == nil {
            let silent = unreachable.compactMap(\.id).map(String.init).joined(separator: ", ")
            found.append(
                HealthFinding(
                    severity: .critical, node: nil, subject: "leader",
                    problem: answering.isEmpty
                        ? "no node answers" : "no node knows a leader: nothing can be changed", since: nil,
                    advice: silent.isEmpty
                        ? "look at the network between the peer ports, and at the nodes' logs"
                        : "bring back a majority; node \(silent) does not answer"))
        }
        let leading = answering.filter { $0.role == "leader" }
        if let term = leading.map(\.term).max(), leading.filter({ $0.term == term }).count > 1 {
            found.append(
                HealthFinding(
                    severity: .critical, node: nil, subject: "leader", problem: "two nodes lead in term \(term)",
                    since: nil, advice: "stop writing, keep the logs and data directories, and report it"))
        }
        let voters = voters
        let lost = voters.subtracting(answering.map(\.nodeID))
        if leader != nil, !lost.isEmpty, voters.count - lost.count - 1 < voters.count / 2 + 1 {
            found.append(
                HealthFinding(
                    severity: .critical, node: nil, subject: "quorum",
                    problem: "\(lost.count) of \(voters.count) voters do not answer: one more loss stops the cluster",
                    since: nil, advice: "bring node \(lost.sorted().map(String.init).joined(separator: ", ")) back"))
        }
        return found
    }

    private func findings(of node: Node, _ thresholds: HealthThresholds) -> [HealthFinding] {
        guard let status = node.status else {
            return [
                HealthFinding(
                    severity: .warning, node: node.id, subject: "unreachable",
                    problem: "does not answer at \(node.address): \(node.problem ?? "no reason")", since: nil,
                    advice: "does its process run? The last lines of its log say why it ended")
            ]
        }
        var found: [HealthFinding] = []
        let committed = answering.map(\.commitIndex).max() ?? 0
        let behind = committed - min(status.appliedIndex, committed)
        if behind > thresholds.lagEntries {
            found.append(
                HealthFinding(
                    severity: .warning, node: status.nodeID, subject: "lag", problem: "is \(behind) entries behind",
                    since: nil, advice: "it catches up by itself; if not, is its disk slow, or its clock of work full?")
            )
        }
        guard let pages = node.pages else {
            return found + (status.healthy ? [] : [unready(status)])
        }
        found += endpoints(pages, of: status, thresholds)
        guard let page = pages.page else { return found }
        if page.store.freeBytes < thresholds.freeBytes {
            found.append(
                HealthFinding(
                    severity: .warning, node: status.nodeID, subject: "disk",
                    problem: "has \(page.store.freeBytes >> 20) MiB of room left", since: nil,
                    advice: "make room before storage.disk_low_bytes is reached: larger metadata is refused then"))
        }
        for (name, checks) in page.checks.sorted(by: { $0.key < $1.key }) {
            for check in checks where check.status != "pass" {
                found.append(
                    HealthFinding(
                        severity: check.status == "fail" ? .critical : .warning, node: status.nodeID, subject: name,
                        problem: check.output ?? check.status, since: check.since, advice: HealthAdvice.text(name)))
            }
        }
        let told = Set(found.map(\.problem))
        for reason in page.reasons where !told.contains(reason) {
            found.append(
                HealthFinding(
                    severity: .critical, node: status.nodeID, subject: "ready", problem: reason, since: nil,
                    advice: HealthAdvice.text("ready")))
        }
        return found
    }

    private func unready(_ status: NodeStatusReport) -> HealthFinding {
        HealthFinding(
            severity: .critical, node: status.nodeID, subject: "ready", problem: status.detail, since: nil,
            advice: HealthAdvice.text("ready"))
    }

    private func endpoints(
        _ pages: HealthPages, of status: NodeStatusReport, _ thresholds: HealthThresholds
    ) -> [HealthFinding] {
        HealthPages.paths.compactMap { path in
            guard let answer = pages.answers[path] else { return nil }
            let problem: String
            if answer.status == nil || answer.problem != nil {
                problem = "\(path) does not answer: \(answer.problem ?? "no reason")"
            } else if path == "/health/live", answer.status != 200 {
                problem = "\(path) answers \(answer.status ?? 0): the process has failed"
            } else if answer.milliseconds > thresholds.pageMilliseconds {
                problem = "\(path) took \(Int(answer.milliseconds)) ms"
            } else {
                // Why a node is not ready is told by its checks.
                return nil
            }
            return HealthFinding(
                severity: path == "/health/live" && answer.status != 200 ? .critical : .warning, node: status.nodeID,
                subject: "endpoint", problem: problem, since: nil,
                advice: "is the machine overloaded? If the process does not come back, restart it")
        }
    }

    /// Equal entries must have given equal states.
    private func digests() -> [HealthFinding] {
        let byIndex = Dictionary(grouping: answering, by: \.appliedIndex)
        return byIndex.sorted { $0.key < $1.key }.compactMap { index, group in
            guard Set(group.map(\.digest)).count > 1 else { return nil }
            let nodes = group.map { String($0.nodeID) }.joined(separator: ", ")
            return HealthFinding(
                severity: .critical, node: nil, subject: "digest",
                problem: "nodes \(nodes) differ in their states at entry \(index)", since: nil,
                advice: HealthAdvice.text("store:digest"))
        }
    }

    private func fencedBrokers() -> [HealthFinding] {
        let leading = nodes.first { $0.id != nil && $0.id == leader?.nodeID }
        guard let brokers = leading?.pages?.page?.brokers, brokers.active < brokers.registered else { return [] }
        return [
            HealthFinding(
                severity: .warning, node: nil, subject: "brokers",
                problem: "\(brokers.registered - brokers.active) of \(brokers.registered) brokers are fenced",
                since: nil,
                advice: "metactl brokers list says which; restart or unregister them")
        ]
    }
}

/// What to do about a check, in a line; the pages under docs/operations say more.
enum HealthAdvice {
    static func text(_ subject: String) -> String {
        switch subject {
        case "node:loop":
            "the machine is overloaded or the process was stopped: look at its CPU, then restart the process"
        case "raft:leader": "is a majority up, and are the peer ports open between the nodes?"
        case "raft:quorum": "bring the silent nodes back; look at the network between the peer ports"
        case "store:propose": "a majority does not sync: look at the disks and at the silent nodes"
        case "store:log": "the disk of the log hangs or is full: look at the kernel's log and at the room"
        case "store:apply":
            "is the disk full, or does another program hold a lock on metadata.sqlite? It goes on by itself"
        case "store:storage": "look at the disk and at the node's log; the node repairs a damaged database by itself"
        case "store:disk": "make room on the disk of the data directory"
        case "store:digest": "keep all data directories, stop writing, and report it (troubleshoot: different digests)"
        case "brokers:registry": "the leader is overloaded: look at its CPU; metactl brokers list shows who is fenced"
        case "coordinator:rebalance": "metactl rebalance status says what waits, and for what"
        default: "read the node's log; docs/operations/troubleshoot.md has the symptoms"
        }
    }
}
