import MetadataModel
import Testing

@testable import MetadataClient

@Suite("MetadataImage")
struct ImageFollowerTests {
    /// Lists the cluster page by page while it moves on, as a cache does.
    private func listed(_ cluster: inout ModelledCluster, pace: Int) -> ImageFollower {
        var follower = ImageFollower()
        follower.begin(at: cluster.version)
        func moveOn() { for _ in 0..<cluster.number(0..<pace + 1) { cluster.step() } }
        follower.listed(brokers: cluster.storage.brokers())
        moveOn()
        var name: String?
        while true {
            let page = cluster.storage.topics(after: name, limit: 2)
            follower.listed(topics: page)
            moveOn()
            guard let last = page.last else { break }
            name = last.name
        }
        var key: PartitionKey?
        while true {
            let page = cluster.storage.partitions(.all, after: key, limit: 50)
            follower.listed(partitions: page)
            moveOn()
            guard let last = page.last else { break }
            key = last.key
        }
        follower.listedAll(by: cluster.version)
        return follower
    }

    private func expectSame(_ image: MetadataImage, _ cluster: ModelledCluster, _ comment: Comment) {
        #expect(image.version == cluster.version, comment)
        #expect(image.brokers == cluster.storage.brokers(), comment)
        #expect(image.topics == cluster.topics.sorted { $0.name < $1.name }, comment)
        var found: [Partition] = []
        image.forEachPartition { found.append($0) }
        #expect(found.sorted { $0.key < $1.key } == cluster.partitions, comment)
        #expect(image.partitionCount == found.count, comment)
        for topic in cluster.topics {
            #expect(image.topic(named: topic.name) == topic, comment)
            #expect(image.topic(topic.id) == topic, comment)
        }
    }

    @Test(
        "lists that were torn by changes become, with the changes after their beginning, exactly the cluster's state",
        arguments: UInt64(1)...10)
    func tornLists(seed: UInt64) {
        var cluster = ModelledCluster(seed: seed)
        for _ in 0..<40 { cluster.step() }
        var follower = listed(&cluster, pace: 2)
        var position = follower.watchAfter ?? .zero
        for round in 0..<60 {
            // Events come in pieces, and some come twice after a reconnection.
            for event in cluster.events(after: position, limit: cluster.number(1..<4)) {
                let fits = follower.apply(event)
                #expect(fits, "seed \(seed), round \(round): \(follower.state)")
            }
            position = follower.image.version
            if follower.isWhole, follower.image.version == cluster.version {
                expectSame(follower.image, cluster, "seed \(seed), round \(round)")
                for _ in 0..<cluster.number(1..<4) { cluster.step() }
            }
        }
        #expect(follower.isWhole, "seed \(seed): never caught up")
    }

    @Test("an image is not shown before it has caught up with what its lists may have seen")
    func settles() {
        var cluster = ModelledCluster(seed: 3)
        for _ in 0..<20 { cluster.step() }
        var follower = listed(&cluster, pace: 3)
        var shown = 0
        for event in cluster.events(after: follower.watchAfter ?? .zero) {
            #expect(follower.isWhole == (follower.image.version >= cluster.version))
            if follower.isWhole { shown += 1 }
            let fits = follower.apply(event)
            #expect(fits)
        }
        #expect(follower.isWhole)
        #expect(shown <= 1)
    }

    @Test("a watch whose history is gone, and a change that does not fit, make the image be read again")
    func broken() {
        var cluster = ModelledCluster(seed: 4, feedMax: 3)
        for _ in 0..<20 { cluster.step() }
        var follower = listed(&cluster, pace: 0)
        #expect(follower.isWhole)
        for _ in 0..<10 { cluster.step() }
        let events = cluster.events(after: follower.watchAfter ?? .zero)
        let fits = follower.apply(events[0])
        #expect(!fits)
        #expect(
            follower.state
                == .broken("changes before version \(cluster.feed.oldest) are not known to the cluster any more"))
        #expect(follower.watchAfter == nil)

        var strange = listed(&cluster, pace: 0)
        let key = PartitionKey(topic: TopicID(high: 1, low: 99), index: PartitionIndex(0))
        let stranger = Partition(
            key: key, leader: nil, leaderEpoch: 0, partitionEpoch: 0, replicas: [], isr: [], version: Version(9_999))
        let change = ChangeEvent(version: Version(9_999), changes: [.partitionChanged(stranger, topicName: "t")])
        let fitsToo = strange.apply(.changes(change))
        #expect(!fitsToo)
    }

    @Test("an image that somebody holds stays as it is when the next ones are made")
    func immutable() {
        var cluster = ModelledCluster(seed: 5)
        for _ in 0..<30 { cluster.step() }
        var follower = listed(&cluster, pace: 0)
        let held = follower.image
        let then = cluster
        for _ in 0..<50 { cluster.step() }
        for event in cluster.events(after: held.version) {
            let fits = follower.apply(event)
            #expect(fits)
        }
        expectSame(held, then, "the image held")
        expectSame(follower.image, cluster, "the newest image")
    }
}
