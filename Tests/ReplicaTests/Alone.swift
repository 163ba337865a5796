import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

/// One member alone in its quorum: the smallest replica that does everything, driven by hand.
struct Alone {
    static let id = NodeID(1)
    var replica: Replica
    var persists: [UInt64] = []
    var applies: [[Entry]] = []
    var others: [Effect] = []
    var now: UInt64 = 1_000
    /// A `beginShutdown` is answered as one that changed nothing.
    var stepsChangeNothing = false

    init(
        options: ReplicaOptions = ReplicaOptions(), disk: DiskID = DiskID(high: 1, low: 2), logTime: UInt64 = 0
    ) {
        let members = Configuration(
            voters: [Member(id: Alone.id, disk: .unknown, peerAddress: "a:1", clientAddress: "a:2")])
        let first = Entry(term: Term(1), index: LogIndex(1), kind: .configuration, payload: members.encoded())
        replica = Replica(
            id: Alone.id, disk: disk, options: options,
            restored: RestoredState(
                hardState: HardState(term: Term(1), vote: nil), base: .zero, entries: [first], applied: .zero,
                configuration: .empty),
            image: StateMachineImage(applied: .zero, version: .zero, logTimeMilliseconds: logTime, brokers: []),
            now: 1_000, seed: 7)
    }

    mutating func turn() {
        for effect in replica.takeEffects() {
            switch effect {
            case .persist(let persist): persists.append(persist.sequence)
            case .apply(let entries): applies.append(entries)
            default: others.append(effect)
            }
        }
        replica.checkInvariants()
    }

    /// The disk answers all it owes; the state machine applies all it was given.
    mutating func settle() {
        turn()
        while !persists.isEmpty || !applies.isEmpty {
            if !persists.isEmpty { replica.persisted(persists.removeFirst()) }
            if !applies.isEmpty { report(applies.removeFirst()) }
            turn()
        }
    }

    mutating func report(_ entries: [Entry], brokers: [Broker] = [], unfinished: UnfinishedWork? = nil) {
        guard let last = entries.last else { return }
        let commands = entries.filter { $0.kind == .command }
        replica.applied(
            AppliedReport(
                applied: last.position, version: Version(last.index.rawValue), logTimeMilliseconds: 0,
                outcomes: commands.map { entry in
                    var version = Version(entry.index.rawValue)
                    if stepsChangeNothing, case .beginShutdown = LogCommand(decoding: entry.payload).command {
                        version = .zero
                    }
                    return .init(index: entry.index, outcome: .done(.changed(version)))
                },
                brokers: brokers, removedBrokers: [], unfinished: unfinished))
    }

    mutating func elect() {
        for _ in 0..<40 where !replica.isLeader {
            now += 20
            replica.tick(now: now)
            settle()
        }
        precondition(replica.isLeader, "a single member elects itself")
        settle()
        others = []
    }

    func intent(_ value: String) -> WriteIntent {
        let command = Command.alterConfigs(
            .init(resource: .cluster, changes: [ConfigChange(name: "user.key", value: value)]))
        return WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes())
    }
}

extension Alone {
    /// Syncs and applies what was proposed, which leaves the broker as given. Returns the commands.
    @discardableResult
    mutating func apply(leaving broker: Broker) -> [Command] { apply(leaving: [broker]) }

    @discardableResult
    mutating func apply(leaving brokers: [Broker], unfinished: UnfinishedWork? = nil) -> [Command] {
        turn()
        while !persists.isEmpty {
            replica.persisted(persists.removeFirst())
            turn()
        }
        var commands: [Command] = []
        while !applies.isEmpty {
            let entries = applies.removeFirst()
            commands += entries.compactMap { LogCommand(decoding: $0.payload).command }
            report(entries, brokers: brokers, unfinished: unfinished)
            turn()
        }
        others = []
        return commands
    }

    mutating func heartbeat(_ epoch: BrokerEpoch, _ token: RequestToken) {
        replica.heartbeat(broker: BrokerID(1), epoch: epoch, wantsFence: false, token: token, now: now)
    }

    mutating func heartbeat(
        _ broker: Broker, wantsShutdown: Bool, _ token: RequestToken
    ) throws -> (state: Broker.State, shouldShutDown: Bool) {
        replica.heartbeat(
            broker: broker.id, epoch: broker.epoch, wantsFence: false, wantsShutdown: wantsShutdown, token: token,
            now: now)
        turn()
        let replies = others.compactMap { effect -> (Broker.State, Bool)? in
            guard case .replyHeartbeat(_, .accepted(let state, _, _, let shouldShutDown)) = effect else { return nil }
            return (state, shouldShutDown)
        }
        return try #require(replies.last)
    }
}
