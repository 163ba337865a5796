internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

/// A client as a broker would run it: a session, several requests under way, each sent again under the same sequence number,
/// to one member after the other, until it is answered.
///
/// A class, since what it holds would be copied whenever it is asked for something.
final class SimulatedClient {
    enum Operation {
        case openSession
        case registerBroker(BrokerID, IncarnationID, previous: BrokerEpoch?)
        case createTopic(Command.CreateTopic)
        case deleteTopic(String)
        /// What a broker reports of its partitions, or an operator asks for; see `+Administration`.
        case administer(Command)
        case write(register: String, String)
        case readRegister(String, ReadConsistency)
        case readTopic(String, ReadConsistency)
        /// A page of everything: what a client does that starts anew.
        case readSummary(ReadConsistency)

        var consistency: ReadConsistency? {
            switch self {
            case .readRegister(_, let level), .readTopic(_, let level), .readSummary(let level): level
            case .openSession, .registerBroker, .createTopic, .deleteTopic, .administer, .write: nil
            }
        }
    }

    /// One request at a time.
    struct Slot {
        let number: Int
        var operation: Operation?
        /// Nil for reads, and outside of a session.
        var sequence: UInt64?
        /// The session that the sequence belongs to.
        var session: SessionID?
        var target: NodeID
        /// Tells the answer to the latest attempt from late ones.
        var attempt: UInt64 = 0
        var begun: UInt64 = 0
        /// In the history that the checkers read.
        var record: RunJudge.OperationID?
        /// What it created last and has not deleted.
        var topic: String?
        var count = 0
        var finished = 0
        /// When its last answer came.
        var lastFinished: UInt64 = 0
    }

    let id: Int
    var slots: [Slot]
    var session: SessionID?
    var isOpening = false
    /// The next sequence number of the session.
    var sequence: UInt64 = 1
    /// The highest version that it was answered with: what it asks for when it wants to read its own writes.
    var seen = Version.zero
    let sessionTimeoutMilliseconds: UInt64
    var watch: Watching?
    /// From its watch.
    var known = KnownMetadata()

    /// A watch, and where it goes on.
    struct Watching {
        var position = Version.zero
        /// Of the present attempt; zero when there is none.
        var connection: UInt64 = 0
        var target: NodeID
        var lastNews: UInt64 = 0
        /// News of one connection come in order.
        var lastArrival: UInt64 = 0
    }

    init(id: Int, slots: Int, target: NodeID, sessionTimeoutMilliseconds: UInt64, watches: Bool) {
        self.id = id
        self.slots = (0..<slots).map { Slot(number: $0, target: target) }
        self.sessionTimeoutMilliseconds = sessionTimeoutMilliseconds
        if watches { watch = Watching(target: target) }
    }

    /// Below this every write was answered.
    var acknowledgedBelow: UInt64 {
        slots.compactMap { $0.session == session ? $0.sequence : nil }.min() ?? sequence
    }

    /// The command of the operation under way in a slot; nil for a read.
    func command(_ slot: Slot) -> Command? {
        switch slot.operation {
        case .openSession?:
            return .openSession(timeoutMilliseconds: sessionTimeoutMilliseconds)
        case .registerBroker(let broker, let incarnation, let previous)?:
            return .registerBroker(
                .init(
                    id: broker, incarnation: incarnation,
                    endpoints: [Endpoint(name: "PLAINTEXT", host: "broker", port: 9_092)], rack: "",
                    previousEpoch: previous))
        case .createTopic(let creation)?:
            return .createTopic(creation)
        case .deleteTopic(let name)?:
            return .deleteTopic(topic: .name(name), ifVersion: nil)
        case .administer(let command)?:
            return command
        case .write(let register, let value)?:
            return .alterConfigs(
                .init(resource: .cluster, changes: [ConfigChange(name: register, value: value)]))
        case .readRegister?, .readTopic?, .readSummary?, nil:
            return nil
        }
    }

    func intent(_ slot: Slot) -> WriteIntent? {
        guard let command = command(slot) else { return nil }
        return WriteIntent(
            session: slot.session, sequence: slot.sequence ?? 0,
            acknowledgedBelow: slot.session == nil ? 0 : min(acknowledgedBelow, slot.sequence ?? 0),
            command: command.schemaBytes())
    }

    func query(_ slot: Slot) -> Query? {
        switch slot.operation {
        case .readRegister(let name, _)?:
            .configs(.cluster, after: String(name.dropLast()), limit: 8)
        case .readTopic(let name, _)?:
            .topic(.name(name))
        case .readSummary?:
            .summary
        case .openSession?, .registerBroker?, .createTopic?, .deleteTopic?, .administer?, .write?, nil:
            nil
        }
    }
}
