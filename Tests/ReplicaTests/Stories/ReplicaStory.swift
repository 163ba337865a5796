import MetadataModel
import MetadataSchema
import RaftCore
import Replica
import StoryFiles

/// Acts out a story of replicas. `Scenarios/README.md` lists the commands.
struct ReplicaStory: StoryTeller {
    private var cluster = StoryCluster(
        voters: [], learners: [], areDisksKnown: true, options: ReplicaOptions(), seed: 0)

    mutating func perform(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        cluster.trace = []
        let answer = try act(arguments)
        return cluster.trace + answer
    }

    private mutating func act(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        switch arguments.name {
        case "cluster": try begin(arguments)
        case "quiet":
            // What a story begins with is told elsewhere.
            _ = try act(StoryArguments(arguments.rest(after: 1).joined(separator: " ")))
            cluster.trace = []
        case "elect": cluster.elect(try member(arguments, 1))
        case "tick":
            for _ in 0..<(try arguments.count(2)) { cluster.tick(try members(arguments, 1)) }
        case "live":
            for _ in 0..<(try arguments.count(1)) {
                cluster.tick(try members(arguments, 2))
                cluster.settle()
            }
        case "pass": cluster.pass(milliseconds: try arguments.number(1))
        case "deliver":
            if arguments.words.count == 1 {
                cluster.deliver()
            } else {
                let link = try link(arguments, 1)
                cluster.deliver { $0.from == link.from && $0.to == link.to }
            }
        case "drop":
            let link = try link(arguments, 1)
            cluster.network.removeAll { $0.from == link.from && $0.to == link.to }
        case "settle": cluster.settle()
        case "pending": return cluster.network.map { "  \($0.from)->\($0.to) \($0.kind.text)" }
        case "cut", "heal": try connect(arguments)
        case "closed":
            let (id, peer) = (try member(arguments, 1), try member(arguments, 2))
            let isRefused = arguments.words.last == "refused"
            cluster.on(id) { $0.connectionClosed(to: peer, refused: isRefused) }
        case "propose": try propose(arguments)
        case "open": try write(arguments, .openSession(timeoutMilliseconds: try arguments.number(3)))
        case "register":
            try write(
                arguments,
                .registerBroker(
                    .init(
                        id: BrokerID(Int32(try arguments.number(3))), incarnation: IncarnationID(high: 0, low: 1),
                        endpoints: [Endpoint(name: "PLAINTEXT", host: "broker", port: 1)], rack: "")))
        case "garbage":
            let (id, token) = (try member(arguments, 1), cluster.request(try arguments.word(2)))
            let intent = WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: [0xff, 0xff])
            cluster.on(id) { $0.write(intent, token: token) }
        case "read": try read(arguments)
        case "heartbeat": try heartbeat(arguments)
        case "resign": resign(try member(arguments, 1))
        default: return try actOnProcesses(arguments)
        }
        return []
    }

    /// What happens to disks, state machines and processes, and what is printed.
    private mutating func actOnProcesses(_ arguments: StoryArguments) throws(StoryError) -> [String] {
        switch arguments.name {
        case "slow", "fast":
            let (id, isFast) = (try member(arguments, 1), arguments.name == "fast")
            switch try arguments.word(2) {
            case "disk": cluster.setDisk(id, isFast: isFast)
            case "apply": cluster.setApply(id, isFast: isFast)
            default: throw StoryError("disk or apply")
            }
        case "sync":
            let count = arguments.words.count > 2 ? try arguments.count(2) : .max
            cluster.sync(try member(arguments, 1), count: count)
        case "apply": cluster.work(try member(arguments, 1))
        case "fail-install": cluster.failInstall(try member(arguments, 1))
        case "checkpoint": cluster.finishCheckpoint(try member(arguments, 1))
        case "arrive":
            let link = try link(arguments, 1)
            cluster.arrive(from: link.from, to: link.to)
        case "report":
            let link = try link(arguments, 1)
            cluster.report(from: link.from, to: link.to, succeeded: arguments.words.last == "ok")
        case "kill", "crash": cluster.stop(try member(arguments, 1), withPower: arguments.name == "crash")
        case "restart": cluster.start(try member(arguments, 1))
        case "status": return try members(arguments, 1).compactMap { cluster.members[$0]?.text }
        case "log":
            guard let core = cluster.members[try member(arguments, 1)]?.replica?.core else { return ["down"] }
            return core.entries(in: core.base.index.next..<core.lastIndex.next).map { entry in
                let time = LogCommand(decoding: entry.payload).timeMilliseconds
                return "  \(entry.text)\(entry.kind == .command ? " at \(time) ms" : "")"
            }
        case "brokers":
            return (cluster.members[try member(arguments, 1)]?.replica?.registeredBrokers ?? []).map {
                "  \($0.id): \($0.state.rawValue), epoch \($0.epoch)"
            }
        default: throw StoryError("unknown command")
        }
        return []
    }

    private mutating func begin(_ arguments: StoryArguments) throws(StoryError) {
        var options = ReplicaOptions(
            raft: Options(electionTimeoutTicks: 10, heartbeatTicks: 2), brokerTimeoutMilliseconds: 1_000,
            brokerGraceMilliseconds: 1_000, sessionSweepMilliseconds: 1_000_000,
            digestIntervalMilliseconds: 1_000_000_000)
        func set(_ name: String, _ path: WritableKeyPath<ReplicaOptions, Int>) {
            options[keyPath: path] = arguments.option(name) ?? options[keyPath: path]
        }
        func setTime(_ name: String, _ path: WritableKeyPath<ReplicaOptions, UInt64>) {
            options[keyPath: path] = arguments.option(name).map { UInt64($0) } ?? options[keyPath: path]
        }
        set("log-entries", \.logEntriesMax)
        set("checkpoint-bytes", \.checkpointBytes)
        set("apply-entries", \.applyEntriesMax)
        set("unapplied", \.unappliedEntriesMax)
        set("uncommitted-bytes", \.raft.uncommittedBytesMax)
        set("pending-reads", \.raft.pendingReadsMax)
        setTime("sweep", \.sessionSweepMilliseconds)
        setTime("read-wait", \.readWaitMilliseconds)
        setTime("digests", \.digestIntervalMilliseconds)
        cluster = StoryCluster(
            voters: Array(1...max(1, try arguments.number(1))), learners: arguments.list("learners") ?? [],
            areDisksKnown: arguments.text("disks") != "unknown", options: options,
            seed: UInt64(arguments.option("seed") ?? 1))
    }

    /// `propose 1 a x=1`, several as `a,b`: all of them in one turn.
    private mutating func propose(_ arguments: StoryArguments) throws(StoryError) {
        let id = try member(arguments, 1)
        let assignment = try arguments.word(3).split(separator: "=", maxSplits: 1).map(String.init)
        guard assignment.count == 2 else { throw StoryError("expects key=value") }
        let command = Command.alterConfigs(
            .init(
                resource: .cluster,
                changes: [ConfigChange(name: StoryCluster.configName(assignment[0]), value: assignment[1])]))
        let intent = intent(command, arguments)
        let tokens = try arguments.word(2).split(separator: ",").map { cluster.request(String($0)) }
        cluster.on(id) { replica in for token in tokens { replica.write(intent, token: token) } }
    }

    private mutating func write(_ arguments: StoryArguments, _ command: Command) throws(StoryError) {
        let (id, token) = (try member(arguments, 1), cluster.request(try arguments.word(2)))
        let intent = intent(command, arguments)
        cluster.on(id) { $0.write(intent, token: token) }
    }

    private func intent(_ command: Command, _ arguments: StoryArguments) -> WriteIntent {
        WriteIntent(
            session: arguments.option("session").map { SessionID(UInt64($0)) },
            sequence: UInt64(arguments.option("sequence") ?? 0),
            acknowledgedBelow: UInt64(arguments.option("below") ?? 0),
            command: command.schemaBytes())
    }

    private mutating func resign(_ id: NodeID) {
        var isHandingOver = false
        cluster.on(id) { isHandingOver = $0.resign() }
        if !isHandingOver { cluster.trace.append("\(id): nobody is to take over") }
    }

    /// `read 1 r linearizable x`, `read 1 r atLeast 7`, `read 1 r stale 100`.
    private mutating func read(_ arguments: StoryArguments) throws(StoryError) {
        let id = try member(arguments, 1)
        let consistency: ReadConsistency
        let keyOffset: Int
        switch try arguments.word(3) {
        case "linearizable": (consistency, keyOffset) = (.linearizable, 4)
        case "atLeast": (consistency, keyOffset) = (.atLeast(Version(try arguments.number(4))), 5)
        case "stale": (consistency, keyOffset) = (.stale(maxLagMilliseconds: try arguments.number(4)), 5)
        default: throw StoryError("linearizable, atLeast or stale")
        }
        let key = keyOffset < arguments.words.count ? arguments.words[keyOffset] : nil
        let tokens = try arguments.word(2).split(separator: ",").map { cluster.request(String($0), key: key) }
        let now = cluster.now
        cluster.on(id) { replica in for token in tokens { replica.read(consistency, token: token, now: now) } }
    }

    /// `heartbeat 1 h 7 epoch=3`, and `fence` at the end when the broker wants to be fenced.
    private mutating func heartbeat(_ arguments: StoryArguments) throws(StoryError) {
        let (id, token) = (try member(arguments, 1), cluster.request(try arguments.word(2)))
        let broker = BrokerID(Int32(try arguments.number(3)))
        let epoch = BrokerEpoch(UInt64(arguments.option("epoch") ?? 0))
        let wantsFence = arguments.words.last == "fence"
        let now = cluster.now
        cluster.on(id) {
            $0.heartbeat(broker: broker, epoch: epoch, wantsFence: wantsFence, token: token, now: now)
        }
    }

    /// `cut 1->2` one way, `cut 1` everything from and to 1; `heal` likewise, and without arguments everything.
    private mutating func connect(_ arguments: StoryArguments) throws(StoryError) {
        var links: [StoryCluster.Link] = []
        if arguments.words.count == 1 {
            links = Array(cluster.cut)
        } else if try arguments.word(1).contains(">") {
            links = [try link(arguments, 1)]
        } else {
            let id = try member(arguments, 1)
            for other in cluster.ids { links += [.init(from: id, to: other), .init(from: other, to: id)] }
        }
        if arguments.name == "cut" { cluster.cut.formUnion(links) } else { cluster.cut.subtract(links) }
    }

    // Arguments

    private func member(_ arguments: StoryArguments, _ offset: Int) throws(StoryError) -> NodeID {
        let id = NodeID(try arguments.number(offset))
        guard cluster.ids.contains(id) else { throw StoryError("there is no member \(id)") }
        return id
    }

    private func members(_ arguments: StoryArguments, _ offset: Int) throws(StoryError) -> [NodeID] {
        try arguments.members(offset, all: cluster.ids.map(\.rawValue)).map { NodeID($0) }
    }

    private func link(_ arguments: StoryArguments, _ offset: Int) throws(StoryError) -> StoryCluster.Link {
        let ends = try arguments.ends(offset)
        return StoryCluster.Link(from: NodeID(ends.from), to: NodeID(ends.to))
    }
}
