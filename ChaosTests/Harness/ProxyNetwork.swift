import NIOCore
import NIOPosix
import RaftCore
import Synchronization

/// A proxy before the peer port of each node, on loopback, and what passes through them. A node listens on its port and is known
/// to the others under that of its proxy.
///
/// A peer connection carries frames from the dialling member to the listening one, and a proxy learns from the first frame who
/// dials. So one direction can be cut without the other, which packet filters do for two seconds at most: then TCP gives up,
/// because acknowledgements are lost too.
final class ProxyNetwork: ClusterNetwork {
    let name = "proxies"

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let loop: any EventLoop
    private let board: NIOLoopBoundBox<ProxyBoard>
    private let listeners = Mutex<[Int: any Channel]>([:])

    init() {
        loop = group.next()
        board = .makeBoxSendingValue(ProxyBoard(), eventLoop: loop)
    }

    func place(_ id: Int, ports: NodePorts) throws -> NodePlace {
        let listener = try ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [board] channel in
                channel.eventLoop.makeCompletedFuture {
                    try board.value.accepts(channel, for: id, at: Int(ports.peer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        guard let port = listener.localAddress?.port else {
            throw LocalCluster.HarnessFailure(description: "the proxy of node \(id) has no port")
        }
        let former = listeners.withLock { $0.updateValue(listener, forKey: id) }
        former?.close(promise: nil)
        loop.execute { [board] in board.value.moves(id) }
        // A node may only be found elsewhere than it listens when it listens everywhere.
        return NodePlace(
            host: "127.0.0.1", peerAddress: "127.0.0.1:\(port)",
            settings: [
                "node.client_address=127.0.0.1:\(ports.client)", "node.peer_address=0.0.0.0:\(ports.peer)",
                "node.advertised_peer_address=127.0.0.1:\(port)",
            ])
    }

    func set(_ condition: LinkCondition, on links: [Link]) async throws {
        try await onLoop { $0.set(condition, on: links) }
    }

    func strikes() async throws -> [Link: Int] { try await onLoop { $0.strikes } }

    /// Bytes that members have sent to this one, or have tried to.
    func bytes(to id: Int) async throws -> Int {
        try await onLoop { board in board.bytes.reduce(0) { $1.key.to == id ? $0 + $1.value : $0 } }
    }

    /// Connections that were made to where the node is now.
    func connections(to id: Int) async throws -> Int { try await onLoop { $0.connected[id] ?? 0 } }

    func close() async {
        do {
            try await group.shutdownGracefully()
        } catch {
            print("the proxies did not stop: \(error)")
        }
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (ProxyBoard) -> Value) async throws -> Value {
        try await loop.submit { [board] in body(board.value) }.get()
    }
}

/// All connections that go through the proxies of a cluster. Confined to their event loop.
final class ProxyBoard {
    private var conditions: [Link: LinkCondition] = [:]
    private(set) var strikes: [Link: Int] = [:]
    private(set) var bytes: [Link: Int] = [:]
    private(set) var connected: [Int: Int] = [:]
    private var open: [ObjectIdentifier: ProxyConnection] = [:]
    private var random = SeededGenerator(seed: 1)

    func accepts(_ client: any Channel, for target: Int, at port: Int) throws {
        let connection = ProxyConnection(board: self, client: client, target: target)
        try client.pipeline.syncOperations.addHandler(ProxyHandler(connection.forward))
        open[ObjectIdentifier(connection)] = connection
        let bound = NIOLoopBound(connection, eventLoop: client.eventLoop)
        ClientBootstrap(group: client.eventLoop)
            .channelOption(.autoRead, value: false)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ProxyHandler(bound.value.backward))
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let server): connection.reaches(server)
                case .failure: connection.close()
                }
            }
    }

    func moves(_ id: Int) {
        connected[id] = 0
        for connection in Array(open.values) where connection.target == id { connection.close() }
    }

    func connects(to id: Int) { connected[id, default: 0] += 1 }

    func closes(_ connection: ProxyConnection) { open[ObjectIdentifier(connection)] = nil }

    func condition(of link: Link?) -> LinkCondition { link.flatMap { conditions[$0] } ?? .open }

    func passes(_ count: Int, over link: Link) { bytes[link, default: 0] += count }

    func strikes(_ link: Link?) {
        if let link { strikes[link, default: 0] += 1 }
    }

    func draw(below bound: Int) -> Int { random.below(bound) }

    func set(_ condition: LinkCondition, on links: [Link]) {
        for link in links { conditions[link] = condition == .open ? nil : condition }
        for connection in Array(open.values) { connection.conditionsChanged() }
    }
}
