@testable import RaftCore
import StoryFiles

/// Acts out a story of members. `Scenarios/README.md` lists the commands.
struct Scenario: StoryTeller {
    private var cluster = Cluster(voters: [])
    /// Messages are printed as they are delivered.
    private var showsMessages = true

    mutating func perform(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        cluster.trace = []
        let answer = try act(arguments)
        cluster.oracle.checkLogs(cluster.ids.compactMap { cluster.peers[$0]?.node })
        return cluster.trace.filter { showsMessages || !$0.hasPrefix("  ") } + answer
    }

    private mutating func act(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        switch arguments.name {
        case "cluster": try start(arguments)
        case "messages": showsMessages = arguments.words.last != "off"
        case "campaign": _ = cluster.on(try arguments.member(1)) { $0.campaign() }
        case "elect": cluster.elect(try arguments.member(1))
        case "tick":
            let count = try arguments.count(2)
            for _ in 0..<count {
                for id in try arguments.members(1, all: cluster.ids) { cluster.tick(id) }
            }
        case "live":
            // Ticks for everyone, with all messages delivered after each.
            for _ in 0..<(try arguments.count(1)) {
                for id in cluster.ids { cluster.tick(id) }
                cluster.settle()
            }
        case "deliver": try deliver(arguments)
        case "drop":
            let link = try arguments.link(1)
            cluster.network.removeAll { $0.from == link.from && $0.to == link.to }
        case "pending": return cluster.network.map { "  \($0.text)" }
        case "settle": cluster.settle()
        case "cut", "heal": try connect(arguments)
        case "closed":
            let (id, peer, refused) = (
                try arguments.member(1), try arguments.member(2), arguments.words.last == "refused"
            )
            _ = cluster.on(id) { $0.connectionClosed(to: peer, refused: refused) }
        case "propose": return try propose(arguments)
        case "configure": return try configure(arguments)
        case "read":
            let (id, read) = (try arguments.member(1), UInt64(try arguments.count(2)))
            return cluster.read(id, read) ? [] : ["\(id): read \(read) refused"]
        case "transfer":
            let (id, target) = (try arguments.member(1), try arguments.member(2))
            return cluster.on(id) { $0.transferLeadership(to: target) } == true ? [] : ["refused"]
        case "slow", "fast": cluster.peers[try arguments.member(1)]?.isDiskFast = arguments.name == "fast"
        case "persist":
            cluster.sync(try arguments.member(1), count: arguments.words.count > 2 ? try arguments.count(2) : .max)
        case "crash": cluster.crash(try arguments.member(1))
        case "lose-log": cluster.loseLog(try arguments.member(1))
        case "restart": cluster.restart(try arguments.member(1))
        case "compact": cluster.compact(try arguments.member(1), to: LogIndex(UInt64(try arguments.count(2))))
        case "install":
            let link = try arguments.link(1)
            cluster.install(from: link.from, to: link.to)
        case "report":
            let link = try arguments.link(1)
            cluster.report(from: link.from, to: link.to, succeeded: arguments.words.last == "ok")
        case "status":
            return try arguments.members(1, all: cluster.ids).map {
                "\($0): \(cluster.peers[$0]?.node?.text ?? "down")"
            }
        case "log":
            let node = cluster.node(try arguments.member(1))
            return [node.entries(in: node.base.index.next..<node.lastIndex.next).map(\.text).joined(separator: " ")]
        case "progress":
            return cluster.node(try arguments.member(1)).progress.map {
                "\($0.id): \($0.state.rawValue) match \($0.match) next \($0.next)\($0.isActive ? "" : " silent")"
            }
        default: throw StoryError("unknown command")
        }
        return []
    }

    private mutating func start(_ arguments: StoryArguments) throws(StoryError) {
        var options = Options()
        options.inflightMessagesMax = arguments.option("inflight") ?? options.inflightMessagesMax
        options.appendBytesMax = arguments.option("append-bytes") ?? options.appendBytesMax
        options.uncommittedBytesMax = arguments.option("uncommitted-bytes") ?? options.uncommittedBytesMax
        let count = UInt64(try arguments.count(1))
        let learners = arguments.list("learners") ?? []
        let outsiders = arguments.list("outsiders") ?? []
        cluster = Cluster(
            voters: Array(1...count), learners: learners, outsiders: outsiders, options: options,
            seed: UInt64(arguments.option("seed") ?? 1))
    }

    private mutating func deliver(_ arguments: StoryArguments) throws(StoryError) {
        guard arguments.words.count > 1 else { return cluster.deliver() }
        let link = try arguments.link(1)
        cluster.deliver { $0.from == link.from && $0.to == link.to }
    }

    /// `cut 1->2` one way, `cut 1` everything from and to 1; `heal` likewise, and without arguments everything.
    private mutating func connect(_ arguments: StoryArguments) throws(StoryError) {
        var links: [Cluster.Link] = []
        if arguments.words.count == 1 {
            cluster.cut = []
        } else if arguments.words[1].contains(">") {
            links = [try arguments.link(1)]
        } else {
            let id = try arguments.member(1)
            for other in cluster.ids {
                links += [Cluster.Link(from: id, to: other), Cluster.Link(from: other, to: id)]
            }
        }
        if arguments.name == "cut" { cluster.cut.formUnion(links) } else { cluster.cut.subtract(links) }
    }

    private mutating func propose(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        guard arguments.words.count > 2 else { throw StoryError("expects a member and texts") }
        let id = try arguments.member(1)
        let payloads = arguments.words.dropFirst(2).map { Array($0.utf8) }
        return describe(cluster.on(id) { $0.propose(payloads) }, at: id)
    }

    private mutating func configure(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        let id = try arguments.member(1)
        let configuration = Cluster.configuration(
            voters: arguments.list("voters") ?? [], outgoing: arguments.list("outgoing") ?? [],
            learners: arguments.list("learners") ?? [])
        return describe(cluster.on(id) { $0.propose([configuration.encoded()], kind: .configuration) }, at: id)
    }

    private func describe(_ outcome: ProposeOutcome?, at id: NodeID) -> [String] {
        switch outcome {
        case nil: ["\(id): down"]
        case .accepted: []
        case .notLeader(let leader): ["\(id): not the leader, \(leader.map(\.description) ?? "nobody") is"]
        case .overloaded: ["\(id): overloaded"]
        case .configurationChangeRefused(let reason): ["\(id): refused: \(reason)"]
        }
    }
}

extension StoryArguments {
    fileprivate func member(_ offset: Int) throws(StoryError) -> NodeID { NodeID(try number(offset)) }

    fileprivate func members(_ offset: Int, all: [NodeID]) throws(StoryError) -> [NodeID] {
        try members(offset, all: all.map(\.rawValue)).map { NodeID($0) }
    }

    fileprivate func link(_ offset: Int) throws(StoryError) -> Cluster.Link {
        let ends = try ends(offset)
        return Cluster.Link(from: NodeID(ends.from), to: NodeID(ends.to))
    }
}
