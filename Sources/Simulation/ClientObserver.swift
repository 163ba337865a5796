internal import MetadataModel
internal import MetadataSchema
internal import RaftCore

/// Shows the checkers of what clients see the calls and answers of clients, and what the state machines did for them.
struct ClientObserver {
    private(set) var registers = LinearizabilityChecker<String, RegisterModel>()
    private(set) var topics = AcknowledgedChecker()
    private var effects = OneEffectChecker()
    private var rules = MetadataRulesChecker()
    private var watches = WatchChecker<Int>()
    private var logTime = LogTimeChecker()
    private(set) var acknowledgedWrites = 0
    private(set) var reads = 0

    /// A state machine applied an entry.
    mutating func applies(_ command: LogCommand, _ applied: Applied, at index: LogIndex) throws(Violation) {
        try logTime.commits(command.timeMilliseconds, at: index)
        if let session = command.session {
            if applied.event != nil { try effects.takesEffect(session, command.sequence, at: index) }
            try effects.answers(session, command.sequence, applied.outcome)
        }
        if let event = applied.event { try watches.happens(event) }
        var isDone = false
        if case .done = applied.outcome { isDone = !applied.wasReplay }
        try rules.applies(
            command.command, isDone: isDone, changes: applied.event?.changes ?? [], at: Version(index.rawValue))
    }

    mutating func isAnswered(_ session: SessionID, _ sequence: UInt64, _ outcome: CommandOutcome) throws(Violation) {
        try effects.answers(session, sequence, outcome)
    }

    mutating func sendsTopic(_ name: String) { topics.sendsCreation(name) }

    mutating func acknowledgesTopic(_ name: String) {
        topics.acknowledgesCreation(name)
        acknowledgedWrites += 1
    }

    mutating func invokes(
        _ operation: RegisterModel.Operation, of register: String, by client: UInt64, at now: UInt64
    ) -> LinearizabilityChecker<String, RegisterModel>.OperationID {
        registers.invokes(operation, of: register, by: client, at: now)
    }

    mutating func returns(
        _ id: LinearizabilityChecker<String, RegisterModel>.OperationID, _ answer: RegisterModel.Answer, at now: UInt64
    ) {
        registers.returns(id, answer, at: now)
        if case .value = answer { reads += 1 } else { acknowledgedWrites += 1 }
    }

    /// The end: histories are explained, and `node`, which has applied everything, has what it should.
    func judgeHistories() throws(Violation) { try registers.judge() }

    func judge(_ storage: ReferenceStorage, on node: NodeID) throws(Violation) {
        let rows = storage.topics(after: nil, limit: .max)
        try topics.judge(Set(rows.map(\.name)), on: node)
        try rules.judge(
            brokers: storage.brokers(), topics: rows, partitions: rows.flatMap { storage.partitions(of: $0.id) })
    }
}
