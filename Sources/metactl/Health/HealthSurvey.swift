import MetadataClient

/// What all nodes say of themselves at one time, over the client port and on their health pages.
struct HealthSurvey: Sendable {
    struct Node: Sendable {
        var id: UInt64?
        var address: String
        /// Nil when the node did not answer; then `problem` says why.
        var status: NodeStatusReport?
        var problem: String?
        /// Nil when it is not known where they are, or when they are switched off.
        var pages: HealthPages?
    }

    /// By id; nodes whose id nobody knows come last.
    var nodes: [Node]

    /// - Parameter withPages: also ask for the health pages.
    static func take(_ client: MetadataClient, timeout: Duration, withPages: Bool = true) async -> HealthSurvey {
        var survey = HealthSurvey(await client.nodeStatuses(timeout: timeout))
        if withPages { await survey.fetchPages(timeout: timeout) }
        return survey
    }

    /// Without pages.
    init(_ answers: [NodeStatusAnswer]) {
        let members = answers.flatMap { answer -> [NodeStatusReport.Member] in
            guard case .success(let status) = answer.status else { return [] }
            return status.members
        }
        var nodes: [Node] = []
        for answer in answers {
            let address = "\(answer.endpoint)"
            switch answer.status {
            case .success(let status):
                nodes.append(Node(id: status.nodeID, address: address, status: status))
            case .failure(let error):
                let id = members.first { $0.clientAddress == address }?.nodeID
                let problem = error.detail.isEmpty ? error.code.rawValue : error.detail
                nodes.append(Node(id: id, address: address, problem: problem))
            }
        }
        for member in members where !nodes.contains(where: { $0.id == member.nodeID }) {
            nodes.append(Node(id: member.nodeID, address: member.clientAddress, problem: "not asked in time"))
        }
        self.nodes = nodes.sorted { ($0.id ?? .max, $0.address) < ($1.id ?? .max, $1.address) }
    }

    private mutating func fetchPages(timeout: Duration) async {
        let urls = nodes.enumerated().compactMap { place, node -> (Int, String)? in
            guard let url = node.status?.healthURL, !url.isEmpty else { return nil }
            return (place, url)
        }
        let pages = await withTaskGroup(of: (Int, HealthPages).self) { group in
            for (place, url) in urls {
                group.addTask { (place, await HealthPages.fetch(from: url, timeout: timeout)) }
            }
            var all: [Int: HealthPages] = [:]
            for await (place, page) in group { all[place] = page }
            return all
        }
        for (place, page) in pages { nodes[place].pages = page }
    }

    var answering: [NodeStatusReport] { nodes.compactMap(\.status) }
    /// Of the highest term that anybody knows; lower ones are memories (Raft §5.1).
    var leader: NodeStatusReport.Leader? { answering.compactMap(\.leader).max { $0.term < $1.term } }
    var voters: Set<UInt64> {
        let newest = answering.max { $0.appliedIndex < $1.appliedIndex }
        return Set((newest?.members ?? []).filter(\.isVoter).map(\.nodeID))
    }
}
