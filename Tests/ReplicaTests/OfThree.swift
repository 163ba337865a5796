import MetadataModel
import MetadataSchema
import RaftCore

@testable import Replica

func members(_ voters: [UInt64], learners: [UInt64] = []) -> Configuration {
    let all = (voters + learners).sorted().map {
        Member(id: NodeID($0), disk: DiskID(high: 1, low: $0), peerAddress: "a:\($0)", clientAddress: "b:\($0)")
    }
    return Configuration(members: all, voters: voters.map { NodeID($0) }, learners: learners.map { NodeID($0) })
}

/// One member of three, driven by hand; the test plays the others.
struct OfThree {
    static let others = [NodeID(2), NodeID(3)]
    var replica: Replica
    var now: UInt64 = 10_000
    var seen: [Effect] = []
    /// Writes that a silent disk has not answered.
    var unanswered: [UInt64] = []
    var isDiskSilent = false

    init(
        options: ReplicaOptions = ReplicaOptions(), brokers: [Broker] = [], isRecovering: Bool = false,
        configuration: Configuration = members([1, 2, 3])
    ) {
        let first = Entry(
            term: Term(1), index: LogIndex(1), kind: .configuration, payload: configuration.encoded())
        replica = Replica(
            id: NodeID(1), disk: DiskID(high: 1, low: 1), options: options,
            restored: RestoredState(
                hardState: HardState(term: Term(1), vote: nil), base: .zero, entries: [first], applied: .zero,
                configuration: .empty, isRecovering: isRecovering),
            image: StateMachineImage(applied: .zero, version: .zero, logTimeMilliseconds: 0, brokers: brokers),
            now: 10_000, seed: 7)
    }

    /// The disk and the state machine answer at once; `digest` is what the latter has.
    mutating func turn(digest: UInt64 = 1) {
        while true {
            let effects = replica.takeEffects()
            replica.checkInvariants()
            if effects.isEmpty { return }
            for effect in effects {
                switch effect {
                case .persist(let persist):
                    if isDiskSilent { unanswered.append(persist.sequence) } else { replica.persisted(persist.sequence) }
                case .apply(let entries): apply(entries, digest: digest)
                default: seen.append(effect)
                }
            }
        }
    }

    private mutating func apply(_ entries: [Entry], digest: UInt64) {
        guard let last = entries.last else { return }
        let commands = entries.filter { $0.kind == .command }
        replica.applied(
            AppliedReport(
                applied: last.position, version: Version(last.index.rawValue), logTimeMilliseconds: 0,
                outcomes: commands.map { .init(index: $0.index, outcome: .done(.changed(Version($0.index.rawValue)))) },
                brokers: [], removedBrokers: [],
                digests: commands.filter { LogCommand(decoding: $0.payload).command == .compareDigests }.map {
                    DigestMark(index: $0.index.rawValue, digest: digest)
                }))
    }

    mutating func receive(_ kind: Message.Kind, from peer: NodeID, term: Term? = nil) {
        replica.receive(
            [Message(from: peer, to: NodeID(1), term: term ?? replica.status.term, kind: kind)], now: now)
        turn()
    }

    mutating func tick(_ milliseconds: UInt64 = 20, digest: UInt64 = 1) {
        now += milliseconds
        replica.tick(now: now)
        turn(digest: digest)
    }

    /// The others say that they are there and whole, and acknowledge everything.
    mutating func others(_ condition: PeerCondition = PeerCondition(isDiskLow: false, isUnfit: false)) {
        for peer in Self.others {
            replica.notified(.condition(condition), from: peer)
            if replica.isLeader { receive(.appendAccepted(match: replica.core.lastIndex), from: peer) }
        }
        turn()
    }

    mutating func lead() {
        for _ in 0..<60 where !replica.isLeader {
            tick()
            for peer in Self.others {
                receive(.preVoteResponse(granted: true), from: peer, term: replica.status.term.next)
                receive(.voteResponse(granted: true), from: peer)
            }
        }
        others()
        seen = []
    }

    mutating func follow(_ leader: NodeID, commit: UInt64 = 0) {
        receive(.heartbeat(commit: LogIndex(commit), round: 1), from: leader, term: Term(2))
        seen = []
    }

    /// Time passes under `leader`; the others say all along how they are, or nothing.
    mutating func wait(
        _ milliseconds: UInt64, under leader: NodeID = NodeID(2),
        _ condition: PeerCondition? = PeerCondition(isDiskLow: false, isUnfit: false)
    ) {
        let end = now + milliseconds
        while now < end {
            tick(100)
            receive(.heartbeat(commit: .zero, round: 1), from: leader)
            if let condition { others(condition) }
        }
    }

    func intent(_ command: Command) -> WriteIntent {
        WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes())
    }

    var repairs: [String] {
        seen.compactMap { if case .repair(let reason) = $0 { reason } else { nil } }
    }
}
