/// What was begun and is too much for one entry: brokers that lead again, whose partitions come back, and brokers that are forced
/// out. Whoever leads goes on with it, step by step (`Command.takeStep`, docs/adr/0017).
///
/// Like `Rebalance` it is a configuration row of the cluster that only its own commands write; there is none while nothing is under
/// way.
package struct UnfinishedWork: Hashable, Sendable {
    package enum Task: Hashable, Sendable {
        /// The broker is active, and those of its partitions up to this key that can be led are. Exits: the last partition is looked
        /// at, or the broker is not active any more.
        case returning(after: PartitionKey)
        /// The broker is fenced and stays so; its replicas up to this key have left their partitions. Exits: the broker is
        /// forgotten; partitions that have no other replica are left; another process takes its place.
        case forcedOut(after: PartitionKey)
    }

    package struct Item: Hashable, Sendable {
        package var broker: BrokerID
        /// The registration that is meant; the item ends with it.
        package var epoch: BrokerEpoch
        package var task: Task
    }

    private var items: [BrokerID: Item] = [:]

    package init() {}

    package static let configName = "coordinator.unfinished"

    package var isEmpty: Bool { items.isEmpty }
    /// By broker. The first has the next step.
    package var sorted: [Item] { items.values.sorted { $0.broker < $1.broker } }

    package func isForcingOut(_ broker: BrokerID, epoch: BrokerEpoch) -> Bool {
        guard let item = items[broker], item.epoch == epoch else { return false }
        switch item.task {
        case .forcedOut: return true
        case .returning: return false
        }
    }

    /// Takes the place of what was under way for the broker; false when there is as much as there may be.
    mutating func put(_ item: Item) -> Bool {
        guard items[item.broker] != nil || items.count < Limits.unfinishedMax else { return false }
        items[item.broker] = item
        return true
    }

    mutating func remove(_ broker: BrokerID) { items[broker] = nil }
}

extension UnfinishedWork {
    /// `3:17:returning:10:255:499 4:21:forced_out:10:255:12`: broker, epoch, what, and the key as topic id (two halves) and number.
    package var text: String {
        sorted.map { item in
            let (name, key) =
                switch item.task {
                case .returning(let key): ("returning", key)
                case .forcedOut(let key): ("forced_out", key)
                }
            return "\(item.broker):\(item.epoch):\(name):\(key.topic.high):\(key.topic.low):\(key.index)"
        }.joined(separator: " ")
    }

    /// What the row says; a text that is none says nothing, and so does no row.
    package init(text: String?) {
        guard let text else { return }
        for word in text.split(separator: " ") {
            guard let item = Item(word), put(item) else {
                items = [:]
                return
            }
        }
    }

    /// What a change that watchers are told of makes of it; nil when it is about something else.
    package init?(_ change: ObservedChange) {
        switch change {
        case .configChanged(let entry):
            guard entry.resource == .cluster, entry.name == UnfinishedWork.configName else { return nil }
            self.init(text: entry.value)
        case .configRemoved(let resource, let name):
            guard resource == .cluster, name == UnfinishedWork.configName else { return nil }
            self.init()
        case .brokerChanged, .brokerRemoved, .topicChanged, .topicRemoved, .partitionChanged:
            return nil
        }
    }
}

extension UnfinishedWork.Item {
    fileprivate init?(_ word: Substring) {
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6, let broker = Int32(parts[0]), let epoch = UInt64(parts[1]), let high = UInt64(parts[3]),
            let low = UInt64(parts[4]), let index = Int32(parts[5])
        else { return nil }
        let key = PartitionKey(topic: TopicID(high: high, low: low), index: PartitionIndex(index))
        let task: UnfinishedWork.Task
        switch parts[2] {
        case "returning": task = .returning(after: key)
        case "forced_out": task = .forcedOut(after: key)
        default: return nil
        }
        self.init(broker: BrokerID(broker), epoch: BrokerEpoch(epoch), task: task)
    }
}

extension Decider {
    func knowsUnfinishedWork() throws(Failure) -> Bool {
        try view.featureLevel() >= Limits.featureLevelOfUnfinishedWork
    }

    func unfinishedWork() throws(Failure) -> UnfinishedWork {
        UnfinishedWork(text: try view.config(.cluster, name: UnfinishedWork.configName)?.value)
    }

    /// The next step of what was begun first by number; nothing when nothing is under way. An item whose broker is not what it was
    /// ends here.
    func takeStep() throws(Failure) -> Decision {
        guard try knowsUnfinishedWork() else { return .refused(.unknownCommand(index: index)) }
        var work = try unfinishedWork()
        guard let item = work.sorted.first else { return .unchanged }
        if let broker = try view.broker(item.broker), broker.epoch == item.epoch {
            switch item.task {
            case .returning(let key) where broker.isActive:
                return try broughtBack(broker, after: key, [], work)
            case .forcedOut(let key) where broker.state == .fenced:
                return try forcedOut(broker, after: key, work)
            case .returning, .forcedOut:
                break
            }
        }
        work.remove(item.broker)
        return .done(changes: try changes([], to: work), result: nil)
    }

    /// `changes`, and that of the row if it is to say something else.
    func changes(_ changes: [Change], to work: UnfinishedWork) throws(Failure) -> [Change] {
        let row = try view.config(.cluster, name: UnfinishedWork.configName)
        let text = work.text
        guard text != row?.value ?? "" else { return changes }
        let after = ConfigEntry(
            resource: .cluster, name: UnfinishedWork.configName, value: text, version: version)
        return changes + [.config(before: row, after: text.isEmpty ? nil : after)]
    }

    /// A step of what follows when a broker is active again: the next of its partitions that are offline get a leader. Between the
    /// steps the rest stays offline as before, unless another command touches it.
    func broughtBack(
        _ broker: Broker, after key: PartitionKey?, _ changes: [Change], _ before: UnfinishedWork
    ) throws(Failure) -> Decision {
        var work = before
        work.remove(broker.id)
        var changes = changes
        // Nearly always so, and then nothing is read, however much the broker holds.
        if try !view.partitions(.offline, after: nil, limit: 1).isEmpty {
            let most = Limits.partitionsPerStepMax
            let page = try view.partitions(withReplica: broker.id, after: key, limit: most)
            var rules = PartitionRules(view: view, version: version)
            rules.assume(broker.id, isActive: true)
            for partition in page where partition.leader == nil {
                guard let online = try rules.settle(partition, from: partition) else { continue }
                changes.append(.partition(before: partition, after: online))
            }
            if page.count == most, let last = page.last?.key {
                let item = UnfinishedWork.Item(broker: broker.id, epoch: broker.epoch, task: .returning(after: last))
                guard work.put(item) else { return .refused(.tooMuchUnfinished) }
            }
        }
        return .done(changes: try self.changes(changes, to: work), result: nil)
    }
}

extension Refusal {
    static let tooMuchUnfinished = Refusal(
        .limitExceeded,
        "\(Limits.unfinishedMax) brokers return or are forced out at the same time, which is the limit; try again")
}
