import MetadataModel
import MetadataSchema
import Wire

/// One kind of thing that clients ask for, as metrics name it. There are few, whatever clients send.
struct Operation: Hashable, Sendable {
    /// An index into `names`.
    let number: Int

    var name: String { Operation.names[number] }
    /// Whether it goes through the log.
    var isWrite: Bool { number < Operation.firstRead }

    /// Writes are at the number of their kind in `metadata.proto`, whatever build wrote them.
    static let unknownWrite = Operation(number: 0)
    private static let firstRead = 64
    private static let reads = [
        "summary", "broker", "brokers", "topic", "topics", "partition", "partitions", "cluster_partitions", "configs",
        "changes",
    ]
    private static let firstOther = firstRead + reads.count
    private static let others = [
        "heartbeat", "node_status", "members", "change_members", "transfer_leadership", "hello", "breakers",
        "control_breaker", "control",
    ]

    static let names: [String] =
        (0..<firstRead).map { Command.kindNames[$0] ?? "unknown" } + reads + others

    /// Whether a write of that number is known here: asked for every write, so not of a dictionary.
    private static let isNamed = (0..<firstRead).map { Command.kindNames[$0] != nil }

    private init(number: Int) { self.number = number }

    /// Watches are no operations: they have no end.
    init?(_ request: ClientRequest) {
        switch request {
        case .write(let write): self.init(command: write.command)
        case .read(let read): self.init(read.query)
        case .heartbeat: self.init(number: Operation.firstOther)
        case .nodeStatus: self.init(number: Operation.firstOther + 1)
        case .members: self.init(number: Operation.firstOther + 2)
        case .changeMembers: self.init(number: Operation.firstOther + 3)
        case .transferLeadership: self.init(number: Operation.firstOther + 4)
        case .hello: self.init(number: Operation.firstOther + 5)
        case .breakers: self.init(number: Operation.firstOther + 6)
        case .controlBreaker: self.init(number: Operation.firstOther + 7)
        case .control: self.init(number: Operation.firstOther + 8)
        case .watch, .cancelWatch: return nil
        }
    }

    private init(command: [UInt8]) {
        let number = Command.kindNumber(ofEncoded: command) ?? 0
        self.init(number: number < Operation.firstRead && Operation.isNamed[number] ? number : 0)
    }

    private init(_ query: Query) {
        let place =
            switch query {
            case .summary: 0
            case .broker: 1
            case .brokers: 2
            case .topic: 3
            case .topics: 4
            case .partition: 5
            case .partitions: 6
            case .clusterPartitions: 7
            case .configs: 8
            case .changes: 9
            }
        self.init(number: Operation.firstRead + place)
    }
}

/// How a request ended, as metrics name it.
enum OperationStatus: Int, CaseIterable, Sendable {
    case ok
    /// The answer is no: the state machine refused, or what was asked for does not exist.
    case refused
    /// Asked the wrong node.
    case redirected
    /// Too much at once, or no room.
    case overloaded
    /// The client had stopped waiting before anything was done.
    case timeout
    /// No leader, no confirmation, leadership lost, a node that stops, a database that cannot be read.
    case unavailable
    /// The request makes no sense.
    case invalid

    var name: String {
        switch self {
        case .ok: "ok"
        case .refused: "refused"
        case .redirected: "redirected"
        case .overloaded: "overloaded"
        case .timeout: "timeout"
        case .unavailable: "unavailable"
        case .invalid: "invalid"
        }
    }

    /// Nil for what is not the last answer to a request.
    init?(_ response: ClientResponse) {
        switch response {
        case .write(let outcome):
            if case .refused = outcome { self = .refused } else { self = .ok }
        case .read(let result, _): self.init(result)
        case .hello, .heartbeat, .nodeStatus, .members, .breakers: self = .ok
        case .membershipRefused: self = .refused
        case .control(let answer): self = answer.isDone ? .ok : .refused
        case .failure(let failure): self.init(failure.code)
        case .watchEvents, .watchProgress, .watchTooOld: return nil
        }
    }

    init(_ result: QueryResult) {
        if case .notFound = result { self = .refused } else { self = .ok }
    }

    private init(_ code: ServiceFailure.Code) {
        self =
            switch code {
            case .notLeader: .redirected
            case .overloaded, .diskFull: .overloaded
            case .deadlineExceeded: .timeout
            case .noLeader, .shuttingDown, .leadershipLost, .storageFailed: .unavailable
            case .invalidRequest, .wrongCluster, .unknownBroker, .unsupportedProtocol: .invalid
            }
    }
}
