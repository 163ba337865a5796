package import MetadataModel
package import RaftCore

extension AppliedReport {
    /// The report of a batch that caused `events`: what it left of the brokers is read from them.
    package init(
        applied: LogPosition, version: Version, logTimeMilliseconds: UInt64, outcomes: [Outcome], events: [ChangeEvent],
        digests: [DigestMark] = []
    ) {
        var brokers: [BrokerID: Broker] = [:]
        var removed: Set<BrokerID> = []
        var rebalance: Rebalance?
        var silences: BrokerSilences?
        var unfinished: UnfinishedWork?
        for event in events {
            for change in event.changes {
                if let latest = BrokerSilences(change) { silences = latest }
                if let latest = UnfinishedWork(change) { unfinished = latest }
                switch change {
                case .brokerChanged(let broker):
                    brokers[broker.id] = broker
                    removed.remove(broker.id)
                case .brokerRemoved(let id):
                    brokers[id] = nil
                    removed.insert(id)
                case .configChanged(let entry):
                    if let latest = Rebalance(entry) { rebalance = latest }
                case .topicChanged, .topicRemoved, .partitionChanged, .configRemoved:
                    continue
                }
            }
        }
        self.init(
            applied: applied, version: version, logTimeMilliseconds: logTimeMilliseconds, outcomes: outcomes,
            brokers: brokers.values.sorted { $0.id < $1.id }, removedBrokers: removed.sorted(), digests: digests,
            rebalance: rebalance, silences: silences, unfinished: unfinished)
    }
}
