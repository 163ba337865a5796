package import MetadataModel

/// What the leader does by itself to keep the cluster even: carries out rebalances, empties brokers that drain, lets
/// preferred leaders lead again. A value: events in, actions out.
///
/// Nothing of it has to survive. That a rebalance is under way, and which brokers drain, is in the log; what is under way
/// shows in the partitions; what is left is planned anew. So a new leader begins with a look at the state (`survey`) and goes
/// on, wherever the old one was (pitfall: a rebalance that lived in memory only). Every step is a command that names the
/// rebalance and the partition epoch that it was planned from, and is checked again when it is applied.
package struct Coordinator: Sendable {
    private enum State {
        /// Somebody else leads. Exit: `becameLeader`.
        case following
        /// Exit: `resigned`.
        case leading(CoordinatorWork)
    }

    /// What is to be done, in order.
    package enum Action: Hashable, Sendable {
        /// To be answered with `surveyed` or `surveyFailed`, however long it takes; one at a time.
        case survey(SurveyRequest)
        case propose(Command)

        var isSurvey: Bool {
            switch self {
            case .survey: true
            case .propose: false
            }
        }
    }

    /// What the coordinator is told with each event.
    package struct Facts: Hashable, Sendable {
        /// Milliseconds of a clock that only goes forward.
        package var now: UInt64
        package var version: Version
        /// Everything that was proposed is applied here, by this leader and those before it: what a survey finds is all there
        /// is.
        package var isSettled: Bool
        /// Why the quorum is not to be burdened with moves; nil when it may.
        package var quorumTrouble: String?
        /// What every member understands; 0 while one has not said, or when the level is not to be raised.
        package var featureLevelOfMembers: UInt32

        package init(
            now: UInt64, version: Version, isSettled: Bool, quorumTrouble: String?, featureLevelOfMembers: UInt32 = 0
        ) {
            self.now = now
            self.version = version
            self.isSettled = isSettled
            self.quorumTrouble = quorumTrouble
            self.featureLevelOfMembers = featureLevelOfMembers
        }
    }

    private var options: CoordinatorOptions
    private var state = State.following
    /// Of the latest survey, of any leadership: an answer from an earlier one is not taken for this one's.
    private var lastTicket: UInt64 = 0

    package init(_ options: CoordinatorOptions) {
        self.options = options
    }
}

// Inputs.
extension Coordinator {
    /// This node leads from now on. `brokers` are all that are registered.
    package mutating func becameLeader(now: UInt64, brokers: [Broker]) {
        state = .leading(CoordinatorWork(options: options, now: now, brokers: brokers))
    }

    package mutating func resigned() { state = .following }

    /// Other limits and intervals, from the next decision on.
    package mutating func configure(_ options: CoordinatorOptions) {
        self.options = options
        change { $0.options = options }
    }

    /// A broker was registered or changed by an entry of the log.
    package mutating func brokerChanged(_ broker: Broker) { change { $0.brokerChanged(broker) } }

    package mutating func brokerRemoved(_ id: BrokerID) { change { $0.brokerRemoved(id) } }

    /// A rebalance began or ended by an entry of the log.
    package mutating func rebalanceChanged(_ rebalance: Rebalance) { change { $0.rebalanceChanged(rebalance) } }

    /// Time has passed.
    package mutating func tick(_ facts: Facts) -> [Action] {
        let ticket = lastTicket + 1
        guard let actions = change({ $0.tick(facts, ticket: ticket) }) else { return [] }
        if actions.contains(where: \.isSurvey) { lastTicket = ticket }
        return actions
    }

    /// A survey is done.
    package mutating func surveyed(_ report: SurveyReport, _ facts: Facts) -> [Action] {
        guard report.ticket == lastTicket else { return [] }
        return change { $0.surveyed(report, facts) } ?? []
    }

    /// A survey could not be made; it is asked for again.
    package mutating func surveyFailed(ticket: UInt64, _ facts: Facts) {
        guard ticket == lastTicket else { return }
        change { $0.surveyFailed(facts) }
    }

    @discardableResult
    private mutating func change<Result>(_ body: (inout CoordinatorWork) -> Result) -> Result? {
        switch state {
        case .following:
            return nil
        case .leading(var work):
            // So that the work is not copied.
            state = .following
            defer { state = .leading(work) }
            return body(&work)
        }
    }
}

// Queries.
extension Coordinator {
    /// Nil on a node that does not lead.
    package var status: CoordinatorStatus? {
        switch state {
        case .following: nil
        case .leading(let work): work.status
        }
    }

    /// How far the rebalance that is under way has got; nil on a node that does not lead.
    package var course: RebalanceCourse? {
        switch state {
        case .following: nil
        case .leading(let work): work.course
        }
    }

    /// Call after each input in tests.
    package func checkInvariants() {
        switch state {
        case .following: return
        case .leading(let work): work.checkInvariants()
        }
    }
}

/// What a leader knows of the rebalance that is under way. One that stays the same does not get on.
package struct RebalanceCourse: Hashable, Sendable {
    package enum Identity: Hashable, Sendable {
        /// The state was not looked at yet.
        case unknown
        case none
        case rebalance(Version)
    }

    package var identity: Identity
    package var movesEnded: Int
    package var movesUnderWay: Int
    package var movesWaiting: Int
    /// New replicas of moves under way that are in sync.
    package var replicasInSync: Int
}
