/// Where the nodes of a cluster are found, and what happens to what they send each other. Two kinds: proxies between the
/// nodes, which work anywhere, and network namespaces with packet filters, which need root.
///
/// A member is known by its number. What clients send is never touched: whoever was cut off can still be asked, which is the
/// point of asking.
protocol ClusterNetwork: Sendable {
    /// In reports and names of tests, such as `proxies`.
    var name: String { get }

    /// Where a node is, before it is formatted. Again with other ports or after `remove`: it has moved.
    func place(_ id: Int, ports: NodePorts) throws -> NodePlace

    /// From now on this holds for what `link.from` sends to `link.to`, in place of what held before.
    func set(_ condition: LinkCondition, on links: [Link]) async throws

    /// How often a condition has struck on each link so far: a packet dropped or held up, a piece of a stream held back, a
    /// connection broken or refused. Only ever grows.
    func strikes() async throws -> [Link: Int]

    /// The end of the cluster; nothing of the network is left behind.
    func close() async
}

/// Nodes that reach each other directly, on loopback. Nothing can be cut.
struct DirectNetwork: ClusterNetwork {
    let name = "direct"

    func place(_ id: Int, ports: NodePorts) -> NodePlace {
        NodePlace(
            host: "127.0.0.1", peerAddress: "127.0.0.1:\(ports.peer)",
            settings: ["node.client_address=127.0.0.1:\(ports.client)", "node.peer_address=127.0.0.1:\(ports.peer)"])
    }

    func set(_ condition: LinkCondition, on links: [Link]) throws {
        guard condition != .open else { return }
        throw LocalCluster.HarnessFailure(description: "these nodes reach each other directly: nothing can be cut")
    }

    func strikes() -> [Link: Int] { [:] }

    func close() {}
}

/// The way from one member to another; the way back is another link.
struct Link: Hashable, Sendable, Comparable, CustomStringConvertible {
    var from: Int
    var to: Int

    var description: String { "\(from)>\(to)" }

    static func < (lhs: Link, rhs: Link) -> Bool { (lhs.from, lhs.to) < (rhs.from, rhs.to) }

    /// Every link between these.
    static func all(_ members: [Int]) -> [Link] {
        members.flatMap { from in members.filter { $0 != from }.map { Link(from: from, to: $0) } }
    }
}

/// What happens to what is sent over a link.
struct LinkCondition: Hashable, Sendable {
    enum Passage: String, Hashable, Sendable {
        case open
        /// Nothing arrives and nothing is said: a pulled cable.
        case silent
        /// Connections are broken, and new ones refused at once.
        case refused
    }

    var passage = Passage.open
    /// Everything arrives this much later, without becoming any slower otherwise.
    var delay: Duration = .zero
    /// And up to this much more, drawn anew each time: what travels over two links arrives in another order.
    var jitter: Duration = .zero
    /// Packets that are lost, of 1,000. The stream then waits until TCP has sent them again.
    var lossPerMille = 0
    var bytesPerSecond: Int?

    static let open = LinkCondition()
    static let silent = LinkCondition(passage: .silent)
    static let refused = LinkCondition(passage: .refused)
}

/// Ports that nobody else uses, of the machine or of the node's own network.
struct NodePorts: Hashable, Sendable {
    var client: UInt16
    var peer: UInt16
    var health: UInt16
    var metrics: UInt16
}

/// Where a node is.
struct NodePlace: Hashable, Sendable {
    /// Where the tests reach its client port, its health pages and its metrics.
    var host: String
    /// Where the other nodes reach its peer port, as `host:port`.
    var peerAddress: String
    /// `key=value` settings of the node that say where it listens and where it is found; not the ports of health pages and
    /// metrics, which the cluster knows itself.
    var settings: [String]
    /// What the command line of the node begins with, such as `ip netns exec NAME`; it becomes the node by `exec`, so that the
    /// process has the node's own number. Empty: nothing.
    var launcher: [String] = []
}

/// The shapes in which a network breaks, for any number of members.
enum Partition: Hashable, Sendable, CustomStringConvertible {
    /// Nobody hears it, and it hears nobody.
    case isolated(Int)
    /// Nothing passes between the groups. Who is in none is alone.
    case groups([[Int]])
    /// What the one sends to the other is lost; not what comes back.
    case oneWay(from: Int, to: Int)
    /// It hears nobody, and all hear it.
    case deaf(Int)
    /// It hears all, and nobody hears it.
    case mute(Int)
    /// Two halves, and one member that both can reach.
    case bridge(Int)
    /// Everybody reaches the next one and the one before, in the order of numbers. Of three that is everybody, so the last
    /// link is cut too.
    case ring

    /// The links on which nothing passes.
    func links(of members: [Int]) -> [Link] {
        let all = Link.all(members)
        switch self {
        case .isolated(let id): return all.filter { $0.from == id || $0.to == id }
        case .groups(let groups):
            func group(_ id: Int) -> Int { groups.firstIndex { $0.contains(id) } ?? -id }
            return all.filter { group($0.from) != group($0.to) }
        case .oneWay(let from, let to): return [Link(from: from, to: to)]
        case .deaf(let id): return all.filter { $0.to == id }
        case .mute(let id): return all.filter { $0.from == id }
        case .bridge(let id):
            let others = members.filter { $0 != id }
            let half = Set(others.prefix(others.count / 2))
            return all.filter { $0.from != id && $0.to != id && half.contains($0.from) != half.contains($0.to) }
        case .ring:
            return all.filter { link in
                guard let a = members.firstIndex(of: link.from), let b = members.firstIndex(of: link.to) else {
                    return false
                }
                let distance = abs(a - b)
                return distance != 1 && (distance != members.count - 1 || members.count == 3)
            }
        }
    }

    var description: String {
        switch self {
        case .isolated(let id): "node \(id) isolated"
        case .groups(let groups):
            "groups " + groups.map { $0.map(String.init).joined(separator: "+") }.joined(separator: " | ")
        case .oneWay(let from, let to): "nothing from \(from) to \(to)"
        case .deaf(let id): "node \(id) deaf"
        case .mute(let id): "node \(id) mute"
        case .bridge(let id): "bridge over node \(id)"
        case .ring: "ring"
        }
    }
}
