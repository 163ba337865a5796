import Foundation
import Synchronization

/// Each node in a network namespace of its own, with a cable to a router between them, in whose forwarding chain the rules
/// stand. All namespaces are without names and belong to this run: nothing has to be cleaned up, and the network of the
/// machine sees nothing of it. Needs root.
///
/// What is dropped here is packets. A connection whose other side has gone silent stays open until somebody gives it up, which
/// is what a proxy on loopback cannot show.
final class NamespaceNetwork: ClusterNetwork {
    /// The member whose links are those between the clients and the nodes.
    static let clients = 0

    private struct State {
        /// Numbers of networks that were used so far.
        var used = 0
        var namespaces: [Int: NetworkNamespace] = [:]
        /// By the port on this machine.
        var relays: [Int: [UInt16: PortRelay]] = [:]
    }

    let name = "namespaces"
    private let router: NetworkNamespace
    private let filter: PacketFilter
    private let state = Mutex(State())

    init() throws {
        router = try NetworkNamespace()
        try router.run("ip", "link", "set", "lo", "up")
        try router.setKernel("ipv4/ip_forward", to: "1")
        filter = PacketFilter(router: router)
    }

    /// Why it does not work here; nil: it does.
    static let obstacle: String? = {
        guard geteuid() == 0 else { return "network namespaces need root" }
        do {
            for tool in ["nsenter", "ip", "iptables-restore", "iptables-save"] { _ = try NetworkNamespace.tool(tool) }
            let network = try NamespaceNetwork()
            _ = try network.router.run("iptables-save", "--counters")
            return nil
        } catch {
            return "\(error)"
        }
    }()

    /// Kernels need not have what delays packets (`tc netem`), and then it takes proxies.
    static func isAble(_ condition: LinkCondition) -> Bool { condition.delay == .zero && condition.jitter == .zero }

    func place(_ id: Int, ports: NodePorts) throws -> NodePlace {
        let number = state.withLock { state in
            state.used += 1
            return state.used
        }
        // 198.18.0.0/15 is for tests of networks (RFC 2544).
        let network = "198.\(18 + number / 256).\(number % 256)"
        let namespace = try NetworkNamespace()
        let cable = PacketFilter.cable(of: id)
        if state.withLock({ $0.namespaces[id] != nil }) { try router.run("ip", "link", "del", cable) }
        try router.run("ip", "link", "add", "name", cable, "type", "veth", "peer", "name", "uplink")
        try router.run("ip", "link", "set", "uplink", "netns", namespace.path)
        try router.run("ip", "addr", "add", "\(network).1/30", "dev", cable)
        try router.run("ip", "link", "set", cable, "up")
        try namespace.run("ip", "link", "set", "lo", "up")
        try namespace.run("ip", "addr", "add", "\(network).2/30", "dev", "uplink")
        try namespace.run("ip", "link", "set", "uplink", "up")
        try namespace.run("ip", "route", "add", "default", "via", "\(network).1")
        try lead([ports.client, ports.health, ports.metrics], to: "\(network).2", of: id)
        state.withLock { $0.namespaces[id] = namespace }
        // A node may only be found elsewhere than it listens when it listens everywhere.
        return NodePlace(
            host: "127.0.0.1", peerAddress: "\(network).2:\(ports.peer)",
            settings: [
                "node.client_address=0.0.0.0:\(ports.client)",
                "node.advertised_client_address=127.0.0.1:\(ports.client)",
                "node.peer_address=\(network).2:\(ports.peer)", "health.http.bind_address=\(network).2",
                "metrics.bind_address=\(network).2",
            ],
            launcher: try namespace.launcher())
    }

    /// The ports of the node on this machine are these now.
    private func lead(_ ports: [UInt16], to host: String, of id: Int) throws {
        var relays = state.withLock { $0.relays[id] ?? [:] }
        for (port, relay) in relays where !ports.contains(port) {
            relay.close()
            relays[port] = nil
        }
        for port in ports {
            let target = RelayTarget(host: host, port: port)
            if let relay = relays[port] {
                relay.moves(to: target)
            } else {
                relays[port] = try PortRelay(port: port, to: target, in: router)
            }
        }
        state.withLock { [relays] in $0.relays[id] = relays }
    }

    func set(_ condition: LinkCondition, on links: [Link]) async throws {
        guard NamespaceNetwork.isAble(condition) else {
            throw LocalCluster.HarnessFailure(description: "packets cannot be delayed here: \(condition)")
        }
        try await filter.set(condition, on: links)
    }

    func strikes() async throws -> [Link: Int] { try await filter.strikes() }

    func close() async {
        let relays = state.withLock { state in
            // The last references to the networks of nodes.
            defer { state = State() }
            return state.relays.values.flatMap(\.values)
        }
        for relay in relays { relay.close() }
    }
}

/// The rules of the router, and how many packets each has struck.
actor PacketFilter {
    private let router: NetworkNamespace
    private var conditions: [Link: LinkCondition] = [:]
    /// By rules that are gone.
    private var past: [Link: Int] = [:]

    init(router: NetworkNamespace) { self.router = router }

    /// The router's end of a node's cable.
    static func cable(of id: Int) -> String { "node\(id)" }

    /// All rules change at once.
    func set(_ condition: LinkCondition, on links: [Link]) throws {
        past = try strikes()
        for link in links { conditions[link] = condition == .open ? nil : condition }
        let rules = conditions.sorted { $0.key < $1.key }.flatMap { link, condition in
            condition.targets(of: link).map {
                "-A \(link.chain) -m comment --comment link-\(link.from)-\(link.to) \($0)"
            }
        }
        try router.run(
            "iptables-restore",
            input: (["*filter", ":FORWARD ACCEPT [0:0]"] + rules + ["COMMIT", ""]).joined(separator: "\n"))
    }

    func strikes() throws -> [Link: Int] {
        var strikes = past
        let saved = try router.run("iptables-save", "--counters", "--table", "filter")
        for rule in saved.matches(of: /\[(\d+):\d+\] .*--comment "?link-(\d+)-(\d+)"?/) {
            guard let from = Int(rule.2), let to = Int(rule.3) else { continue }
            strikes[Link(from: from, to: to), default: 0] += Int(rule.1) ?? 0
        }
        return strikes
    }
}

extension Link {
    /// The chain of the router and what of it belongs to this link.
    fileprivate var chain: String {
        if from == NamespaceNetwork.clients { return "OUTPUT -o \(PacketFilter.cable(of: to))" }
        if to == NamespaceNetwork.clients { return "INPUT -i \(PacketFilter.cable(of: from))" }
        return "FORWARD -i \(PacketFilter.cable(of: from)) -o \(PacketFilter.cable(of: to))"
    }
}

extension LinkCondition {
    /// What a rule does with packets, in the order of the rules. Only what does not pass is counted by them.
    fileprivate func targets(of link: Link) -> [String] {
        switch passage {
        case .silent: return ["-j DROP"]
        case .refused: return ["-p tcp -j REJECT --reject-with tcp-reset", "-j DROP"]
        case .open: break
        }
        var targets: [String] = []
        if lossPerMille > 0 {
            targets.append("-m statistic --mode random --probability \(Double(lossPerMille) / 1_000) -j DROP")
        }
        if let bytesPerSecond {
            // The largest packet of a cable without hardware, many times over.
            targets.append(
                "-m hashlimit --hashlimit-name rate-\(link.from)-\(link.to) --hashlimit-above \(bytesPerSecond)b/s --hashlimit-burst 1mb -j DROP"
            )
        }
        return targets
    }
}
