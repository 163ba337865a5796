import MetadataModel
import Testing

@Suite("StateHasher and StateDigest")
struct StateHasherTests {
    private func hash(kind: UInt64 = 1, _ body: (inout StateHasher) -> Void) -> UInt64 {
        var hasher = StateHasher(kind: kind)
        body(&hasher)
        return hasher.finish()
    }

    @Test("the hash has these values for ever: digests of different builds are compared")
    func goldenValues() {
        #expect(hash { _ in } == 0xc6ff_e416_e9a5_dfee)
        #expect(hash { $0.combine(UInt64(0)) } == 0x551d_df8d_37e5_9e5f)
        #expect(hash { $0.combine(UInt64.max) } == 0xa1e0_972f_38b8_10df)
        #expect(hash { $0.combine("") } == 0x551d_df8d_37e5_9e5f)
        #expect(hash { $0.combine("streambus") } == 0x8711_b472_755f_9291)
        #expect(hash { $0.combine("exactly sixteen!") } == 0xf4dc_e1e7_da7d_5ca0)
    }

    @Test("each row type has this digest for ever")
    func goldenRows() {
        let broker = Broker(
            id: BrokerID(3), epoch: BrokerEpoch(17), incarnation: IncarnationID(high: 1, low: 2),
            endpoints: [Endpoint(name: "PLAINTEXT", host: "b3", port: 9092)], rack: "r1", state: .active,
            version: Version(20))
        #expect(StateDigest.of(broker) == 0x68e6_4ce2_23b8_1083)
        let topic = Topic(id: TopicID(1), name: "orders", partitionCount: 2, replicationFactor: 3, version: Version(9))
        #expect(StateDigest.of(topic) == 0x8704_5bdc_dde1_04ca)
        let partition = Partition(
            key: PartitionKey(topic: TopicID(1), index: PartitionIndex(1)), leader: nil, leaderEpoch: 4,
            partitionEpoch: 6, replicas: .init(1, 2, 3), isr: .init(2), version: Version(21))
        #expect(StateDigest.of(partition) == 0x81eb_da74_1e51_fd30)
        let config = ConfigEntry(resource: .cluster, name: "user.a", value: "1", version: Version(4))
        #expect(StateDigest.of(config) == 0xdb4e_ccf5_e4d9_ed55)
        #expect(StateDigest.of(featureLevel: 0) == 0)
        #expect(StateDigest.of(featureLevel: 1) == 0xdb4d_bad5_5e33_e5e9)
        let session = SessionState(
            session: Session(id: SessionID(5), timeoutMilliseconds: 1_000, lastActiveMilliseconds: 7),
            acknowledgedBelow: 2,
            results: [
                SessionResult(sequence: 2, outcome: .done(.changed(Version(8)))),
                SessionResult(sequence: 3, outcome: .refused(Refusal(.topicExists, "…"))),
            ])
        #expect(StateDigest.of(session) == 0xd9bb_1ab9_837f_7399)
    }

    @Test("strings keep their borders, and every length has a hash of its own")
    func strings() {
        #expect(
            hash {
                $0.combine("ab"); $0.combine("c")
            }
                != hash {
                    $0.combine("a"); $0.combine("bc")
                })
        #expect(hash { $0.combine("a") } != hash { $0.combine("a\0") })
        let hashes = (0..<100).map { length in hash { $0.combine(String(repeating: "\0", count: length)) } }
        #expect(Set(hashes).count == 100)
    }

    @Test("a flipped bit anywhere in a row changes its digest")
    func flippedBits() {
        let partition = Partition(
            key: PartitionKey(topic: TopicID(1), index: PartitionIndex(1)), leader: BrokerID(1), leaderEpoch: 4,
            partitionEpoch: 6, replicas: .init(1, 2, 3), isr: .init(1, 2), version: Version(21))
        var variants = [partition]
        for bit in 0..<31 {
            var flipped = Array(repeating: partition, count: 6)
            flipped[0].leaderEpoch ^= 1 << bit
            flipped[1].partitionEpoch ^= 1 << bit
            flipped[2].replicas[2].rawValue ^= 1 << bit
            flipped[3].isr[1].rawValue ^= 1 << bit
            flipped[4].version.rawValue ^= 1 << bit
            flipped[5].key.index.rawValue ^= 1 << bit
            variants += flipped
        }
        for change in [\Partition.adding, \.removing] {
            var moved = partition
            moved[keyPath: change] = .init(3)
            variants.append(moved)
        }
        #expect(Set(variants.map { StateDigest.of($0) }).count == variants.count)
    }

    @Test("every kind of outcome counts, the sentence of a refusal does not")
    func outcomes() {
        let topic = Topic(id: TopicID(1), name: "t", partitionCount: 1, replicationFactor: 1, version: Version(1))
        let partition = Partition(
            key: PartitionKey(topic: topic.id, index: PartitionIndex(0)), leader: nil, leaderEpoch: 0,
            partitionEpoch: 0,
            replicas: .init(1), isr: .init(1), version: Version(1))
        let outcomes: [CommandOutcome] = [
            .refused(Refusal(.topicExists, "")), .refused(Refusal(.topicNotFound, "")), .done(.changed(Version(1))),
            .done(.changed(Version(2))), .done(.registered(BrokerEpoch(1), Version(1))), .done(.topic(topic)),
            .done(.partition(partition)), .done(.session(SessionID(1))),
        ]
        func digest(_ outcome: CommandOutcome) -> UInt64 {
            StateDigest.of(SessionResult(sequence: 1, outcome: outcome), in: SessionID(1))
        }
        #expect(Set(outcomes.map(digest)).count == outcomes.count)
        #expect(digest(.refused(Refusal(.topicExists, "in other words"))) == digest(outcomes[0]))
    }
}
