import MetadataClient
import MetadataModel

/// What is known of a round when it is over and all nodes agree: what clients saw, and what each node says happened.
struct RoundEvidence: Sendable {
    /// What one node says, up to a version that all have reached.
    struct NodeAccount: Sendable {
        var node: Int
        /// All that happened after the beginning of the round; nil when it does not reach back so far.
        var events: [ChangeEvent]?
        var topics: Set<String>
        var digest: UInt64
        var appliedIndex: UInt64
    }

    var prefix: String
    var base: Version
    var last: Version
    var calls: [RecordedCall]
    var deliveries: [HistoryRecorder.Delivery]
    var nodes: [NodeAccount]
}

extension RoundEvidence.NodeAccount {
    /// Asks the node itself, which has to have reached `last`. Blocking.
    init(
        _ status: NodeStatusReport, at endpoint: MetadataClient.Endpoint, after base: Version, through last: Version
    ) throws {
        let reader = try DirectReader(endpoint, patience: .seconds(10))
        node = Int(status.nodeID)
        digest = status.digest
        appliedIndex = status.appliedIndex
        events = try Self.events(reader, after: base, through: last)
        topics = []
        var name: String?
        while true {
            guard
                case .topics(let page) = try reader.answer(
                    .topics(after: name, limit: Limits.pageItemsMax), .atLeast(last), timeout: .seconds(8))
            else { throw LocalCluster.HarnessFailure(description: "node \(node) does not list its topics") }
            topics.formUnion(page.items.map(\.name))
            name = page.items.last?.name
            guard page.hasMore, name != nil else { return }
        }
    }

    private static func events(
        _ reader: DirectReader, after base: Version, through last: Version
    ) throws -> [ChangeEvent]? {
        var all: [ChangeEvent] = []
        var position = base
        while position < last {
            let query = Query.changes(after: position, filter: WatchFilter(), limit: Limits.pageItemsMax)
            guard case .changes(let page) = try reader.answer(query, .atLeast(last), timeout: .seconds(8)) else {
                throw LocalCluster.HarnessFailure(description: "a node does not tell what changed")
            }
            switch page {
            case .events(let events, let through):
                all += events.filter { $0.version <= last }
                guard through > position else { return all }
                position = through
            case .tooOld: return nil
            case .notYet(let current):
                throw LocalCluster.HarnessFailure(description: "a node is at \(current), and said that it was further")
            }
        }
        return all
    }
}
