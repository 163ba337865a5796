internal import DequeModule
internal import MetadataModel

/// The coordinator of one term of leadership.
struct CoordinatorWork: Sendable {
    /// What there is to do.
    enum Task: Hashable {
        case rebalance(Rebalance)
        /// Brokers are to be emptied, whether rebalances start by themselves or not.
        case drain
    }

    /// A survey that was asked for, with the moves that are to be proposed when it shows their partitions unchanged.
    struct Asked {
        var ticket: UInt64
        var moves: [PlannedMove]
        var scan: SurveyRequest.Scan?
        /// Something else is to be done since it was asked for.
        var isOvertaken = false
    }

    /// A partition with a reassignment under way.
    struct Step {
        var adding: [BrokerID]
        var removing: [BrokerID]
        /// New replicas that are in sync: progress.
        var inSync = 0
        /// It is given up when nothing has happened until then.
        var deadline: UInt64
        /// This leader began it, and may take it back. Others were begun by a leader before it or by an operator; those are
        /// only reported.
        var isOwn: Bool
        /// Why it is not waited for any more.
        var stall: String?

        var brokers: [BrokerID] { adding + removing }
    }

    /// What is left to move when the latest plan was made.
    struct Progress {
        var executable: Int
        /// Plans in a row that left no less.
        var fruitless = 0
    }

    var options: CoordinatorOptions
    private(set) var brokers: [BrokerID: Broker] = [:]
    private var draining: Set<BrokerID> = []
    /// Neither active nor draining.
    private var down: Set<BrokerID> = []
    /// The latest rebalance as the log says.
    private(set) var rebalance: Rebalance?
    private(set) var featureLevel: UInt32 = 0
    private(set) var offline = 0
    /// Why an operator wants nothing to be moved.
    private(set) var pause: String?
    private(set) var hasTooManyReassignments = false
    /// The state was looked at once.
    private(set) var isInformed = false

    private(set) var asked: Asked?
    /// Moves of the latest plan that were not begun yet.
    var waiting: Deque<PlannedMove> = []
    /// Every reassignment that is known, whoever began it. All count against the limits, but those of others that do not get on.
    var underWay: [PartitionKey: Step] = [:]
    /// Partitions whose move was given up: they are left alone until then.
    var givenUp: [PartitionKey: (replica: StuckReplica, until: UInt64)] = [:]
    /// Moves in a row that were given up because this broker did not get in sync.
    var failures: [BrokerID: Int] = [:]
    private(set) var plan: PlanReport?
    private(set) var progress: Progress?
    /// The latest plan is overtaken.
    private var needsPlan = true
    private var elections: Deque<PartitionKey> = []
    private(set) var movesEnded = 0
    private(set) var stepTimeouts = 0
    private(set) var obstacle: String?
    /// How uneven the cluster was when nothing could be moved any more: less is not to be had with these brokers.
    private var restingImbalance = 0.0

    private var nextPoll: UInt64
    private var nextPlan: UInt64
    private var nextElection: UInt64
    private var nextRebalanceCheck: UInt64
    private var nextLeaderCheck: UInt64
    private var measuredVersion: Version?

    init(options: CoordinatorOptions, now: UInt64, brokers: [Broker]) {
        self.options = options
        nextPoll = now
        nextPlan = now
        nextElection = now
        nextRebalanceCheck = now + options.rebalanceIntervalMilliseconds
        nextLeaderCheck = now + options.leaderIntervalMilliseconds
        for broker in brokers { set(broker.id, broker) }
    }

    private mutating func set(_ id: BrokerID, _ broker: Broker?) {
        brokers[id] = broker
        draining.remove(id)
        down.remove(id)
        guard let broker else { return }
        if broker.isDraining { draining.insert(id) } else if !broker.isActive { down.insert(id) }
    }
}

// Inputs.
extension CoordinatorWork {
    mutating func brokerChanged(_ broker: Broker) {
        let known = brokers[broker.id]
        set(broker.id, broker)
        guard known?.state != broker.state || known?.isDraining != broker.isDraining else { return }
        failures[broker.id] = nil
        restingImbalance = 0
        replan()
    }

    mutating func brokerRemoved(_ id: BrokerID) {
        set(id, nil)
        failures[id] = nil
        restingImbalance = 0
        replan()
    }

    mutating func rebalanceChanged(_ latest: Rebalance) {
        guard rebalance != latest else { return }
        rebalance = latest
        givenUp.removeAll()
        failures.removeAll()
        replan()
    }

    /// Something else is to be planned for: what waits is dropped, what is under way goes on.
    private mutating func replan() {
        needsPlan = true
        progress = nil
        waiting.removeAll()
        asked?.moves.removeAll()
        asked?.isOvertaken = true
        nextPlan = 0
        nextPoll = 0
    }

    mutating func tick(_ facts: Coordinator.Facts, ticket: UInt64) -> [Coordinator.Action] {
        guard asked == nil, facts.isSettled else { return [] }
        obstacle = obstacle(facts)
        if isInformed, facts.featureLevelOfMembers > featureLevel {
            // Looked at again when that is applied.
            isInformed = false
            return [.propose(.setFeatureLevel(facts.featureLevelOfMembers))]
        }
        let elections = electionsDue(facts.now)
        guard elections.isEmpty else { return elections }
        guard let wanted = surveyDue(facts, ticket: ticket) else { return [] }
        asked = wanted
        return [
            .survey(
                SurveyRequest(
                    ticket: ticket, partitions: wanted.moves.map(\.partition), scan: wanted.scan,
                    leaderImbalanceMax: options.leaderImbalanceMax))
        ]
    }

    mutating func surveyFailed(_ facts: Coordinator.Facts) {
        guard let asked else { return }
        waiting.prepend(contentsOf: asked.moves)
        self.asked = nil
        nextPoll = facts.now + CoordinatorOptions.pauseMilliseconds
    }

    mutating func surveyed(_ report: SurveyReport, _ facts: Coordinator.Facts) -> [Coordinator.Action] {
        guard let asked, asked.ticket == report.ticket else { return [] }
        self.asked = nil
        isInformed = true
        featureLevel = report.featureLevel
        offline = report.offline
        pause = report.pause
        hasTooManyReassignments = report.hasMoreReassigning
        // What was applied while the survey was made is newer than the survey.
        if let found = report.rebalance, found.id.rawValue > rebalance?.id.rawValue ?? 0 { rebalanceChanged(found) }
        obstacle = obstacle(facts)
        let isBusy = obstacle == nil && task != nil
        nextPoll =
            facts.now + (isBusy ? CoordinatorOptions.pollMilliseconds : CoordinatorOptions.pauseMilliseconds)
        let failedBefore = failedReceivers
        var moves = reconcile(report.reassigning, now: facts.now)
        if failedReceivers != failedBefore { replan() }
        var actions: [Coordinator.Action] = []
        if let plan = report.plan, let scan = asked.scan {
            actions = planned(plan, scan, asked, version: report.version, facts)
        } else if obstacle == nil {
            let begun = asked.moves.filter { !$0.adding.contains(where: failedReceivers.contains) }
            moves += steps(begun, report.partitions, now: facts.now)
        } else {
            waiting.prepend(contentsOf: asked.moves)
        }
        guard !moves.isEmpty else { return actions }
        // First, while the rebalance still runs. What makes no progress is taken back also when its task is over.
        let steps = Command.MoveReplicas(rebalance: task?.rebalanceID, moves: moves)
        return [.propose(.moveReplicas(steps))] + actions
    }
}

// What to do next.
extension CoordinatorWork {
    /// Nil while there is nothing to move.
    var task: Task? {
        if let rebalance, rebalance.isRunning { return .rebalance(rebalance) }
        return draining.isEmpty ? nil : .drain
    }

    /// Nothing waits for its turn, and nothing that is under way is waited for.
    private var isWorkedOff: Bool { waiting.isEmpty && !underWay.values.contains { $0.stall == nil } }

    /// Brokers to which as many moves as may go to one at a time have failed, and none has succeeded since. The rest of a
    /// rebalance does without them: otherwise each plan would find others of their partitions to try.
    private var failedReceivers: Set<BrokerID> {
        Set(failures.lazy.filter { $0.value >= self.options.movesPerBrokerMax }.map(\.key))
    }

    private func scan(for task: Task) -> SurveyRequest.Scan {
        switch task {
        case .rebalance(let rebalance):
            .rebalance(rebalance.strategy, excluded: failedReceivers.union(rebalance.excluded).sorted())
        case .drain: .drain
        }
    }

    /// Why no replica is to be moved now; nil when the cluster is healthy.
    private func obstacle(_ facts: Coordinator.Facts) -> String? {
        if featureLevel < Limits.featureLevelOfRebalances {
            return "the feature level is \(featureLevel), moves need \(Limits.featureLevelOfRebalances)"
        }
        if let pause { return "paused by hand: \(pause)" }
        if let trouble = facts.quorumTrouble { return trouble }
        if hasTooManyReassignments { return "more than \(Limits.pageItemsMax) reassignments are under way" }
        // An operator who drains a broker may have to, because things are bad: each partition then says what holds it up.
        if task == .drain { return nil }
        if offline > 0 { return "\(offline)\(offline == Limits.pageItemsMax ? " or more" : "") partitions are offline" }
        if let id = down.min(), let state = brokers[id]?.state { return "broker \(id) is \(state.rawValue)" }
        return nil
    }

    private mutating func electionsDue(_ now: UInt64) -> [Coordinator.Action] {
        guard !elections.isEmpty, now >= nextElection else { return [] }
        let batch = Array(elections.prefix(CoordinatorOptions.electionsMax))
        elections.removeFirst(batch.count)
        nextElection = now + CoordinatorOptions.electionPauseMilliseconds
        return [.propose(.electLeaders(Command.ElectLeaders(.preferred, partitions: batch)))]
    }

    private mutating func surveyDue(_ facts: Coordinator.Facts, ticket: UInt64) -> Asked? {
        let look = Asked(ticket: ticket, moves: [], scan: nil)
        guard isInformed else { return facts.now >= nextPoll ? look : nil }
        if let asked = taskDue(facts, ticket: ticket) { return asked }
        // What was begun goes on to its end, whatever became of its task.
        if task == nil, !underWay.isEmpty, facts.now >= nextPoll { return look }
        guard facts.now >= min(nextRebalanceCheck, nextLeaderCheck) else { return nil }
        // A rebalance measures with each plan.
        if case .rebalance = task {
            nextRebalanceCheck = facts.now + options.rebalanceIntervalMilliseconds
            nextLeaderCheck = facts.now + options.leaderIntervalMilliseconds
            return nil
        }
        guard measuredVersion != facts.version else {
            // Nothing has changed.
            passChecks(facts.now)
            return nil
        }
        return Asked(ticket: ticket, moves: [], scan: .measure)
    }

    private mutating func taskDue(_ facts: Coordinator.Facts, ticket: UInt64) -> Asked? {
        guard let task, facts.now >= nextPoll else { return nil }
        if obstacle != nil {
            // A look now and then: offline partitions come back.
            nextPoll = facts.now + CoordinatorOptions.pauseMilliseconds
            return Asked(ticket: ticket, moves: [], scan: nil)
        }
        givenUp = givenUp.filter { $0.value.until > facts.now }
        if (needsPlan || isWorkedOff) && facts.now >= nextPlan {
            return Asked(ticket: ticket, moves: [], scan: scan(for: task))
        }
        guard !waiting.isEmpty || !underWay.isEmpty else { return nil }
        return Asked(ticket: ticket, moves: takeNextSteps(), scan: nil)
    }

    private mutating func passChecks(_ now: UInt64) {
        if now >= nextRebalanceCheck { nextRebalanceCheck = now + options.rebalanceIntervalMilliseconds }
        if now >= nextLeaderCheck { nextLeaderCheck = now + options.leaderIntervalMilliseconds }
    }
}

// What a scan has found.
extension CoordinatorWork {
    private mutating func planned(
        _ found: PlanReport, _ scan: SurveyRequest.Scan, _ asked: Asked, version: Version, _ facts: Coordinator.Facts
    ) -> [Coordinator.Action] {
        measuredVersion = version
        if options.electsPreferredLeaders, facts.now >= nextLeaderCheck {
            elections = Deque(found.elections)
        }
        let isCheckDue = facts.now >= nextRebalanceCheck
        passChecks(facts.now)
        guard scan != .measure else {
            measured(found)
            guard task == nil, isCheckDue, options.startsRebalances, obstacle == nil,
                found.imbalance > max(options.imbalanceMax, restingImbalance + CoordinatorOptions.imbalanceMargin)
            else { return [] }
            return [
                .propose(.startRebalance(Command.StartRebalance(strategy: options.strategy, origin: .automatic)))
            ]
        }
        guard let task, self.scan(for: task) == scan, !asked.isOvertaken else { return [] }
        return accept(found, task, now: facts.now)
    }

    /// What a plan has found to be blocked stays so until the next.
    private mutating func measured(_ found: PlanReport) {
        guard task != nil, var known = plan else {
            plan = found
            return
        }
        (known.imbalance, known.drains) = (found.imbalance, found.drains)
        plan = known
    }

    private mutating func accept(_ found: PlanReport, _ task: Task, now: UInt64) -> [Coordinator.Action] {
        plan = found
        needsPlan = false
        waiting = Deque(found.moves.filter { givenUp[$0.partition] == nil && underWay[$0.partition] == nil })
        let executable = found.moveCount - (found.moves.count - waiting.count)
        if waiting.isEmpty {
            // What is under way ends first.
            guard isWorkedOff else { return [] }
            switch task {
            case .rebalance(let rebalance):
                restingImbalance = found.imbalance
                nextPlan = now + CoordinatorOptions.pauseMilliseconds
                // Leaders follow their replicas.
                nextLeaderCheck = now
                measuredVersion = nil
                return [end(rebalance, .finished, ending(found))]
            case .drain:
                nextPlan = drainRetry(found, now: now)
                return []
            }
        }
        var next = Progress(executable: executable)
        if let progress, executable >= progress.executable { next.fruitless = progress.fruitless + 1 }
        progress = next
        guard next.fruitless >= CoordinatorOptions.fruitlessPlansMax else { return [] }
        switch task {
        case .rebalance(let rebalance):
            return [
                end(
                    rebalance, .abandoned,
                    "\(next.fruitless) plans in a row left no less to do: \(executable) partitions have to move")
            ]
        case .drain:
            waiting.removeAll()
            progress = nil
            nextPlan = now + options.stepMilliseconds * CoordinatorOptions.drainRetrySteps
            return []
        }
    }

    /// An empty broker stays empty until it is not draining any more.
    private func drainRetry(_ found: PlanReport, now: UInt64) -> UInt64 {
        let isDone = found.drains.allSatisfy { $0.replicas == 0 } && underWay.isEmpty
        let retry = now + options.stepMilliseconds * CoordinatorOptions.drainRetrySteps
        return isDone ? max(retry, now + options.rebalanceIntervalMilliseconds) : retry
    }

    private func end(_ rebalance: Rebalance, _ ending: Rebalance.Ending, _ detail: String) -> Coordinator.Action {
        .propose(
            .endRebalance(Command.EndRebalance(rebalance: rebalance.id, ending: ending, detail: detail)))
    }

    private func ending(_ found: PlanReport) -> String {
        let stuck = givenUp.count + found.blockedCount
        let first = givenUp.values.map(\.replica).min { $0.partition < $1.partition } ?? found.blocked.first
        guard stuck > 0, let first else { return "" }
        return "\(stuck) replicas could not move; the first: \(first.reason)"
    }
}

// Queries.
extension CoordinatorWork {
    var course: RebalanceCourse {
        var identity = RebalanceCourse.Identity.unknown
        if isInformed { identity = .none }
        if let rebalance, rebalance.isRunning { identity = .rebalance(rebalance.id) }
        return RebalanceCourse(
            identity: identity, movesEnded: movesEnded, movesUnderWay: underWay.count,
            movesWaiting: waiting.count + (asked?.moves.count ?? 0),
            replicasInSync: underWay.values.reduce(0) { $0 + $1.inSync })
    }

    var status: CoordinatorStatus {
        var status = CoordinatorStatus()
        status.imbalance = plan?.imbalance
        status.imbalanceAfter = plan?.imbalanceAfter ?? 0
        status.movesPlanned = plan?.moveCount ?? 0
        status.movesWaiting = waiting.count + (asked?.moves.count ?? 0)
        status.movesUnderWay = underWay.count
        status.movesEnded = movesEnded
        status.stepTimeouts = stepTimeouts
        status.drains = (plan?.drains ?? []).map {
            BrokerDrain(id: $0.id, replicas: $0.replicas, leaders: $0.leaders)
        }
        let stuck = stuckReplicas
        status.stuckCount = stuck.count + max(0, (plan?.blockedCount ?? 0) - (plan?.blocked.count ?? 0))
        status.stuck = Array(stuck.prefix(CoordinatorStatus.stuckMax))
        guard task != nil else { return status }
        if !isInformed {
            status.activity = .planning
        } else if let obstacle {
            status.activity = .paused
            status.detail = obstacle
        } else if asked?.scan != nil || needsPlan {
            status.activity = .planning
        } else if !waiting.isEmpty || !underWay.isEmpty || asked?.moves.isEmpty == false {
            status.activity = .moving
        } else if status.stuckCount > 0 {
            status.activity = .stuck
            status.detail = "what is left cannot move now"
        }
        return status
    }

    /// Given up, not getting on, or without a place to go.
    private var stuckReplicas: [StuckReplica] {
        var stuck = givenUp.values.map(\.replica)
        for (key, step) in underWay {
            guard let stall = step.stall, let broker = step.brokers.first else { continue }
            stuck.append(StuckReplica(partition: key, broker: broker, reason: stall))
        }
        stuck.sort { $0.partition < $1.partition }
        return stuck + (plan?.blocked ?? [])
    }

    mutating func note(ended count: Int) { movesEnded += count }

    mutating func noteTimeout() { stepTimeouts += 1 }
}

extension CoordinatorWork.Task {
    var rebalanceID: Version? {
        switch self {
        case .rebalance(let rebalance): rebalance.id
        case .drain: nil
        }
    }
}
