import ArgumentParser
import MetadataClient
import MetadataModel

struct StatusCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows every node: role, term, log positions, digest, health.",
        discussion: "Each node speaks for itself; no quorum is needed. Ends with 3 when no node knows a leader.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let report = try await global.withClient { client in
            StatusReport(await client.nodeStatuses(timeout: global.nodeTimeout))
        }
        try global.console.print(report)
        if report.leader == nil {
            throw CommandFailure.unavailable(
                code: "no_leader", "no node that answered knows a leader of the current term")
        }
    }
}

extension StatusReport {
    /// The members that answered, and those that did not but are named by others.
    init(_ answers: [NodeStatusAnswer]) {
        var nodes: [UInt64: NodeReport] = [:]
        var strangers: [NodeReport] = []
        var leaders: [(node: UInt64, term: UInt64)] = []
        var clusterID = ""
        for answer in answers {
            guard case .success(let status) = answer.status else { continue }
            if clusterID.isEmpty { clusterID = status.clusterID }
            if let leader = status.leader { leaders.append((node: leader.nodeID, term: leader.term)) }
            let address = status.members.first { $0.nodeID == status.nodeID }?.clientAddress ?? "\(answer.endpoint)"
            nodes[status.nodeID] = NodeReport(
                id: status.nodeID, role: status.role, address: address, term: status.term,
                commitIndex: status.commitIndex, appliedIndex: status.appliedIndex, version: status.version.rawValue,
                digest: Names.hex(status.digest), healthy: status.healthy,
                detail: status.detail.isEmpty ? nil : status.detail)
        }
        let members = answers.flatMap { answer -> [NodeStatusReport.Member] in
            guard case .success(let status) = answer.status else { return [] }
            return status.members
        }
        for answer in answers {
            guard case .failure(let error) = answer.status else { continue }
            let address = "\(answer.endpoint)"
            let detail = error.detail.isEmpty ? error.code.rawValue : error.detail
            guard let id = members.first(where: { $0.clientAddress == address })?.nodeID else {
                strangers.append(.unreachable(id: nil, address: address, detail: detail))
                continue
            }
            if nodes[id] == nil { nodes[id] = .unreachable(id: id, address: address, detail: detail) }
        }
        for member in members where nodes[member.nodeID] == nil {
            nodes[member.nodeID] = .unreachable(
                id: member.nodeID, address: member.clientAddress, detail: "not asked: no answer named it in time")
        }
        self.init(clusterID: clusterID, leaders: leaders, nodes: Array(nodes.values) + strangers)
    }
}
