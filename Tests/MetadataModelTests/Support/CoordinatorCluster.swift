import Coordination
import MetadataModel

/// A cluster with a coordinator on its leader and brokers that copy what they are given: a log in memory, surveys that take
/// their time, leaders that die with what they proposed.
struct CoordinatorCluster {
    var model = Model()
    var coordinator: Coordinator
    var options: CoordinatorOptions
    var generator: SeededGenerator
    var now: UInt64 = 1_000_000
    var quorumTrouble: String?
    /// Proposed and not applied yet.
    private(set) var proposed: [Command] = []
    private var survey: (request: SurveyRequest, due: UInt64)?
    /// In parts of 100: what may happen in a tick.
    var surveyFails: UInt64 = 0
    var leaderDies: UInt64 = 0
    var copies: UInt64 = 20
    /// Brokers that never get in sync.
    var sluggish: Set<BrokerID> = []
    /// What was under way at most.
    private(set) var mostUnderWay = 0
    private(set) var mostPerBroker = 0
    private(set) var leaders = 1
    private(set) var applied: [Command] = []
    private(set) var refusals: [Refusal] = []

    init(_ options: CoordinatorOptions, seed: UInt64) {
        self.options = options
        coordinator = Coordinator(options)
        generator = SeededGenerator(seed: seed)
    }

    /// Topics wherever chance put them, on brokers that are all active, at the feature level that moves need.
    static func random(
        _ options: CoordinatorOptions, seed: UInt64, brokers: Int32, racks: Int, partitions: Int, factor: Int
    ) -> CoordinatorCluster {
        var cluster = CoordinatorCluster(options, seed: seed)
        cluster.apply(.setFeatureLevel(Limits.featureLevelOfRebalances))
        cluster.model.addBrokers(0...(brokers - 1), racks: racks)
        for topic in 0..<UInt64((partitions + 9) / 10) {
            let count = min(10, partitions - Int(topic) * 10)
            let assignment = (0..<count).map { _ in
                var chosen: [Int32] = []
                while chosen.count < factor {
                    let id = Int32(cluster.generator.next() % UInt64(brokers))
                    if !chosen.contains(id) { chosen.append(id) }
                }
                return chosen
            }
            cluster.model.createTopic("t\(topic)", id: topic + 1, assignment: assignment)
        }
        cluster.begin()
        return cluster
    }

    mutating func begin() {
        coordinator.becameLeader(now: now, brokers: model.storage.brokers())
    }

    private func chance(_ percent: UInt64, _ generator: inout SeededGenerator) -> Bool {
        generator.next() % 100 < percent
    }

    var facts: Coordinator.Facts {
        Coordinator.Facts(
            now: now, version: model.machine.version, isSettled: proposed.isEmpty, quorumTrouble: quorumTrouble)
    }

    @discardableResult
    mutating func apply(_ command: Command) -> CommandOutcome {
        model.timeMilliseconds = now
        let result = model.applyEntry(command)
        applied.append(command)
        if let refusal = result.outcome.refusal { refusals.append(refusal) }
        if case .done(.partitions(let results)) = result.outcome {
            for case .refused(let refusal) in results { refusals.append(refusal) }
        }
        for change in result.event?.changes ?? [] {
            switch change {
            case .brokerChanged(let broker): coordinator.brokerChanged(broker)
            case .brokerRemoved(let id): coordinator.brokerRemoved(id)
            case .configChanged(let entry): if let latest = Rebalance(entry) { coordinator.rebalanceChanged(latest) }
            case .topicChanged, .topicRemoved, .partitionChanged, .configRemoved: continue
            }
        }
        measure()
        return result.outcome
    }

    private mutating func measure() {
        let reassigning = self.reassigning
        mostUnderWay = max(mostUnderWay, reassigning.count)
        var counts: [BrokerID: Int] = [:]
        for partition in reassigning { for id in partition.adding + partition.removing { counts[id, default: 0] += 1 } }
        mostPerBroker = max(mostPerBroker, counts.values.max() ?? 0)
    }

    var reassigning: [Partition] { model.storage.partitions(.reassigning, after: nil, limit: .max) }
    var rebalance: Rebalance? {
        model.storage.config(.cluster, name: Rebalance.configName).flatMap { Rebalance($0) }
    }

    /// 50 milliseconds: what was proposed is applied, brokers copy, the leader ticks, and sometimes it dies.
    mutating func tick() {
        now += 50
        if chance(leaderDies, &generator) {
            // What was proposed reached the others, or it did not; the next leader knows before it begins.
            for command in proposed where chance(50, &generator) { apply(command) }
            proposed = []
            survey = nil
            leaders += 1
            coordinator.resigned()
            coordinator = Coordinator(options)
            begin()
        }
        for command in proposed { apply(command) }
        proposed = []
        copy()
        if let (request, due) = survey, now >= due {
            survey = nil
            if chance(surveyFails, &generator) {
                coordinator.surveyFailed(ticket: request.ticket, facts)
            } else {
                let model = model
                let report = request.answer { model.answer($0) }
                perform(coordinator.surveyed(report, facts))
            }
            coordinator.checkInvariants()
        }
        perform(coordinator.tick(facts))
        coordinator.checkInvariants()
    }

    private mutating func perform(_ actions: [Coordinator.Action]) {
        for action in actions {
            switch action {
            case .survey(let request):
                precondition(survey == nil, "two surveys at once")
                survey = (request, now + 50 * (generator.next() % 4))
            case .propose(let command):
                proposed.append(command)
            }
        }
    }

    /// The leaders of partitions report new replicas that are in sync.
    private mutating func copy() {
        for partition in reassigning {
            guard chance(copies, &generator), let leader = partition.leader,
                let next = partition.adding.first(where: {
                    !partition.isr.contains($0) && !sluggish.contains($0)
                        && model.storage.broker($0)?.state == .active
                })
            else { continue }
            apply(
                .alterPartition(
                    Command.AlterPartition(
                        broker: leader, brokerEpoch: model.epoch(leader.rawValue), partition: partition.key,
                        leaderEpoch: partition.leaderEpoch, partitionEpoch: partition.partitionEpoch,
                        isr: partition.isr + [next])))
        }
    }

    /// Ticks until the condition holds; answers whether it did.
    mutating func run(ticks: Int = 20_000, until isDone: (CoordinatorCluster) -> Bool) -> Bool {
        for _ in 0..<ticks {
            if isDone(self) { return true }
            tick()
        }
        return isDone(self)
    }

    func replicas(on broker: Int32) -> Int {
        model.storage.brokerLoads().first { $0.id == BrokerID(broker) }?.replicas ?? 0
    }

    /// The plan that somebody would make now.
    func plan(_ strategy: BalanceStrategy = .balanced) -> RebalancePlan {
        var layout = ClusterLayout(
            brokers: model.storage.brokers().map { ClusterLayout.Broker($0, excluded: []) })
        var last: TopicID?
        for partition in model.storage.partitions(.all, after: nil, limit: .max) {
            layout.append(replicas: partition.replicas, beginsTopic: partition.key.topic != last)
            last = partition.key.topic
        }
        return RebalancePlanner.plan(layout, strategy: strategy)
    }
}
