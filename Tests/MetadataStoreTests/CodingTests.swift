import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

@Suite("Bytes of rows")
struct CodingTests {
    private let broker = Broker(
        id: BrokerID(3), epoch: BrokerEpoch(9), incarnation: IncarnationID(high: 1, low: 2),
        endpoints: [Endpoint(name: "P", host: "h", port: 0x2384)], rack: "r", capacity: 200,
        tags: [BrokerTag(name: "a", value: "b")], state: .fencing, isDraining: true, version: Version(11))
    private let topic = Topic(
        id: TopicID(high: 1, low: 2), name: "t", partitionCount: 4, replicationFactor: 3, version: Version(5))
    private let partition = Partition(
        key: PartitionKey(topic: TopicID(high: 1, low: 2), index: PartitionIndex(7)), leader: BrokerID(3),
        leaderEpoch: 4, partitionEpoch: 5, replicas: [BrokerID(3), BrokerID(1)], isr: [BrokerID(3)],
        eligibleLeaders: [BrokerID(1)], adding: [BrokerID(1)], removing: [], version: Version(6))
    private let config = ConfigEntry(
        resource: .topic(TopicID(high: 1, low: 2)), name: "n", value: "v", version: Version(8))

    @Test("rows have the bytes of docs/formats/snapshot.md")
    func golden() {
        var writer = ByteWriter()
        RowCoding.append(broker, to: &writer)
        #expect(
            writer.bytes == [
                0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0,
                0, 11, 0, 1, 0x72, 0, 1, 0, 1, 0x50, 0, 1, 0x68, 0x23, 0x84, 0, 0, 0, 200, 0, 1, 0, 1, 0x61, 0, 1, 0x62,
                1,
            ])
        writer.removeAll()
        RowCoding.append(topic, to: &writer)
        #expect(
            writer.bytes == [
                0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 0x74,
            ])
        writer.removeAll()
        RowCoding.append(partition, to: &writer)
        #expect(
            writer.bytes == [
                0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 7, 1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0,
                0, 0, 0, 0, 0, 6, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0,
                0, 1,
            ])
        writer.removeAll()
        RowCoding.append(config, to: &writer)
        #expect(
            writer.bytes == [
                17, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x6e, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1,
                0x76,
            ])
    }

    @Test("events come back as they were written, and a row cut anywhere is refused")
    func events() throws {
        let event = ChangeEvent(
            version: Version(12),
            changes: [
                .brokerChanged(broker), .brokerRemoved(BrokerID(4)), .topicChanged(topic),
                .topicRemoved(id: topic.id, name: "t"), .partitionChanged(partition, topicName: "t"),
                .configChanged(config), .configRemoved(resource: .broker(BrokerID(3)), name: "n"),
                .configRemoved(resource: .cluster, name: "n"),
            ],
            departures: [
                Departure(place: 3, brokers: [BrokerID(3), BrokerID(9)]), Departure(place: 4, brokers: [BrokerID(7)]),
            ])
        var writer = ByteWriter()
        FeedCoding.append(ChangeEvent(version: Version(10), changes: [.brokerRemoved(BrokerID(1))]), to: &writer)
        let firstCount = writer.count
        FeedCoding.append(event, to: &writer)
        #expect(try decode(writer.bytes, after: Version(10)) == [event])
        #expect(try decode(writer.bytes, after: .zero).count == 2)
        for length in (firstCount + 1)..<writer.count {
            #expect(throws: StoreError.self, "length \(length)") {
                _ = try decode(Array(writer.bytes[..<length]), after: .zero)
            }
        }
    }

    @Test("a change that takes replicas away has the golden bytes of the feed, and one list of brokers at most")
    func departure() throws {
        let event = ChangeEvent(
            version: Version(10), changes: [.brokerRemoved(BrokerID(1))],
            departures: [Departure(place: 0, brokers: [BrokerID(2), BrokerID(258)])])
        var writer = ByteWriter()
        FeedCoding.append(event, to: &writer)
        let departure: [UInt8] = [8, 0, 2, 0, 0, 0, 2, 0, 0, 1, 2]
        let change: [UInt8] = [2, 0, 0, 0, 1]
        let header: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0]
        #expect(writer.bytes == header + [16] + change + departure)
        #expect(throws: StoreError.self) { try decode(header + [27] + change + departure + departure, after: .zero) }
        #expect(throws: StoreError.self) { try decode(header + [16] + departure + change, after: .zero) }
    }

    private func decode(_ bytes: [UInt8], after version: Version) throws -> [ChangeEvent] {
        var found: [ChangeEvent] = []
        try bytes.withBytes { (bytes) throws(StoreError) in
            try FeedCoding.forEachEvent(in: bytes, after: version) { (event, _) throws(StoreError) in
                found.append(event)
                return true
            }
        }
        return found
    }

    @Test("every broker state survives, and a state that does not exist is refused")
    func states() throws {
        for state in Broker.State.allCases {
            #expect(try RowCoding.state(tag: Int64(RowCoding.tag(of: state))) == state)
        }
        #expect(throws: StoreError.corrupt(what: "broker state 4")) { _ = try RowCoding.state(tag: 4) }
    }
}

@Suite("The cache of topics")
struct TopicCacheTests {
    private func topic(_ number: UInt64, _ name: String) -> Topic {
        Topic(
            id: TopicID(high: 1, low: number), name: name, partitionCount: 1, replicationFactor: 1, version: .zero)
    }

    @Test("a name that only looks like a topic's is no hit: an answer must not depend on what is cached")
    func lookalike() {
        var cache = TopicCache()
        cache.put(topic(1, "K"))
        let kelvin = "\u{212A}"
        #expect(kelvin == "K")
        #expect(cache.topic(named: "K") != nil)
        #expect(cache.topic(named: kelvin) == nil)
    }

    @Test("at its limit the cache begins anew, and a removed topic is gone under both names")
    func limit() {
        var cache = TopicCache()
        for number in 0..<UInt64(TopicCache.topicsMax) { cache.put(topic(number, "t\(number)")) }
        #expect(cache.topic(named: "t0") != nil)
        cache.put(topic(1_000_000, "last"))
        #expect(cache.topic(named: "t0") == nil)
        #expect(cache.topic(TopicID(high: 1, low: 0)) == nil)
        cache.remove(topic(1_000_000, "last"))
        #expect(cache.topic(named: "last") == nil)
        #expect(cache.topic(TopicID(high: 1, low: 1_000_000)) == nil)
    }
}
