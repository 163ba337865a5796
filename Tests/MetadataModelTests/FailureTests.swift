import MetadataModel
import Testing

@Suite("a storage that fails")
struct FailureTests {
    private enum DiskError: Error { case read, write }

    /// Reads or writes fail.
    private struct Failing: MetadataStorage {
        typealias Failure = DiskError
        var failsReading: Bool

        private func read<Value>(_ value: Value) throws(DiskError) -> Value {
            if failsReading { throw .read }
            return value
        }

        mutating func apply(_ change: Change) throws(DiskError) { throw .write }
        func broker(_ id: BrokerID) throws(DiskError) -> Broker? { try read(nil) }
        func brokers() throws(DiskError) -> [Broker] { try read([]) }
        func brokerLoads() throws(DiskError) -> [BrokerLoad] { try read([]) }
        func topic(_ id: TopicID) throws(DiskError) -> Topic? { try read(nil) }
        func topic(named name: String) throws(DiskError) -> Topic? { try read(nil) }
        func topic(collidingWith name: String) throws(DiskError) -> Topic? { try read(nil) }
        func partition(_ key: PartitionKey) throws(DiskError) -> Partition? { try read(nil) }
        func partitions(of topic: TopicID) throws(DiskError) -> [Partition] { try read([]) }
        func partitions(
            withReplica broker: BrokerID, after key: PartitionKey?, limit: Int
        ) throws(DiskError) -> [Partition] { try read([]) }
        func partitions(
            _ filter: PartitionFilter, after key: PartitionKey?, limit: Int
        ) throws(DiskError) -> [Partition] { try read([]) }
        func config(_ resource: ConfigResource, name: String) throws(DiskError) -> ConfigEntry? { try read(nil) }
        func configs(of resource: ConfigResource) throws(DiskError) -> [ConfigEntry] { try read([]) }
        func sessions() throws(DiskError) -> [Session] { try read([]) }
        func totals() throws(DiskError) -> MetadataTotals {
            try read(MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0))
        }
        func featureLevel() throws(DiskError) -> UInt32 { try read(0) }
    }

    @Test("the world's failure is thrown and never becomes a refusal", arguments: [true, false])
    func thrown(failsReading: Bool) {
        var machine = StateMachine(storage: Failing(failsReading: failsReading))
        let entry = LogCommand(
            timeMilliseconds: 1, session: nil, sequence: 0, acknowledgedBelow: 0,
            command: .registerBroker(.sample(1)))
        #expect(throws: failsReading ? DiskError.read : .write) {
            try machine.apply(index: 1, entry)
        }
    }
}
