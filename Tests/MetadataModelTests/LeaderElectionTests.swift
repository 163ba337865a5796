import MetadataModel
import Testing

@Suite("elections of partition leaders")
struct LeaderElectionTests {
    /// Brokers 1 to 3 active; topic 1 "orders" with one partition on 1, 2, 3.
    private func model(minInSync: String? = nil, unclean: Bool = false) -> Model {
        var model = Model()
        model.addBrokers(1...3)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        if let minInSync { model.apply(.configure(.topic(.name("orders")), "min.insync.replicas", minInSync)) }
        if unclean { model.apply(.configure(.cluster, "unclean.leader.election.enable", "true")) }
        return model
    }

    @Test("whoever leaves an ISR below min.insync.replicas stays eligible, and leads without loss (KIP-966)")
    func eligible() {
        var model = model(minInSync: "2")
        model.fence(3)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1,2 leader 1", "the ISR is large enough without 3")
        model.fence(2)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader 1 elr 2")
        model.fence(1)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader none elr 2")
        model.unfence(3)
        #expect(model.partition(1, 0)?.leader == nil, "3 may lack what 1 and 2 committed")
        model.unfence(2)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 2 leader 2 elr 1")
        model.apply(model.report(1, 0, isr: [2, 3]))
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 2,3 leader 2")
        model.checkInvariants()
    }

    @Test("an eligible leader that is active takes over at once when the ISR is gone (KIP-966)")
    func takesOver() {
        var model = model(minInSync: "3")
        model.apply(model.report(1, 0, isr: [1]))
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader 1 elr 2,3")
        model.fence(1)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 2 leader 2 elr 1,3")
        model.checkInvariants()
    }

    @Test("a broker that comes back without what it had not synced is no eligible leader any more (KIP-966)")
    func uncleanShutdown() {
        for clean in [true, false] {
            var model = model(minInSync: "2")
            model.fence(3)
            model.fence(2)
            model.fence(1)
            var again = Command.RegisterBroker.sample(2, incarnation: 2)
            if clean { again.previousEpoch = model.epoch(2) }
            model.apply(.registerBroker(again))
            #expect(model.partition(1, 0)?.eligibleLeaders == (clean ? .init(2) : .init()))
            model.unfence(2)
            #expect(model.partition(1, 0)?.leader == (clean ? BrokerID(2) : nil))
            model.checkInvariants()
        }
    }

    @Test("the last member of the ISR that comes back unclean makes way for a replica that lacks nothing (KIP-966)")
    func lastReplicaStanding() {
        for clean in [true, false] {
            var model = model(minInSync: "2")
            model.fence(3)
            model.fence(2)
            model.fence(1)
            #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader none elr 2")
            var again = Command.RegisterBroker.sample(1, incarnation: 2)
            if clean { again.previousEpoch = model.epoch(1) }
            model.apply(.registerBroker(again))
            model.unfence(1)
            let expected = clean ? "[1,2,3] isr 1 leader 1 elr 2" : "[1,2,3] isr 2 leader none"
            #expect(model.partition(1, 0)?.shape == expected, "1 may lack what 2 has")
            model.unfence(2)
            #expect(model.partition(1, 0)?.leader == BrokerID(clean ? 1 : 2))
            model.checkInvariants()
        }
    }

    @Test(
        "an unclean return of the last member brings no offline partition another leader than an active, eligible one")
    func lastReplicaStandingAlone() {
        var model = model(minInSync: "1")
        model.apply(model.report(1, 0, isr: [1]))
        model.fence(1)
        model.apply(.registerBroker(.sample(1, incarnation: 2)))
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader none", "nobody else lacks nothing")
        model.unfence(1)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader 1")
        model.checkInvariants()
    }

    @Test("a registration that the metadata has lost is taken up again, and is trusted with nothing")
    func lostRegistration() {
        var model = model(minInSync: "2")
        for id in [Int32(3), 2, 1] { model.fence(id) }
        var again = Command.RegisterBroker.sample(2, incarnation: 2)
        again.previousEpoch = BrokerEpoch(model.index + 1_000)
        model.apply(.registerBroker(again))
        #expect(model.epoch(2) == BrokerEpoch(model.index))
        #expect(model.partition(1, 0)?.eligibleLeaders == .init())
        model.checkInvariants()
    }

    @Test("an unclean election takes a replica from before a reassignment, if one is active")
    func uncleanDuringMove() {
        var model = Model()
        model.addBrokers(1...4)
        model.createTopic("orders", id: 1, assignment: [[1, 2]])
        model.apply(model.report(1, 0, isr: [1]))
        model.reassign(1, 0, to: [3, 1])
        model.fence(1)
        let key = PartitionKey(topic: TopicID(1), index: PartitionIndex(0))
        model.apply(.electLeaders(Command.ElectLeaders(.unclean, partitions: [key])))
        #expect(model.partition(1, 0)?.shape == "[3,1,2] isr 2 leader 2 +3 -2", "3 has copied nothing yet")
        model.checkInvariants()
    }

    @Test(
        "a smaller min.insync.replicas ends eligibility at once, for it lets the ISR go on alone",
        arguments: ["topic", "cluster", "removed"])
    func smallerMinimum(way: String) {
        var model = Model()
        model.addBrokers(1...3)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        let resource: ResourceReference = way == "topic" ? .topic(.name("orders")) : .cluster
        model.apply(.configure(resource, "min.insync.replicas", "2"))
        model.apply(model.report(1, 0, isr: [1]))
        #expect(model.partition(1, 0)?.eligibleLeaders == .init(2, 3))
        model.apply(.configure(resource, "min.insync.replicas", way == "removed" ? nil : "1"))
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader 1")
        model.checkInvariants()
    }

    @Test("unclean election is off by default, and per topic when it is on")
    func unclean() {
        var off = model()
        off.apply(off.report(1, 0, isr: [1]))
        off.fence(1)
        #expect(off.partition(1, 0)?.shape == "[1,2,3] isr 1 leader none")
        var on = model(unclean: true)
        on.apply(on.report(1, 0, isr: [1]))
        var spared = on
        spared.apply(.configure(.topic(.name("orders")), "unclean.leader.election.enable", "false"))
        on.fence(1)
        #expect(on.partition(1, 0)?.shape == "[1,2,3] isr 2 leader 2")
        on.checkInvariants()
        spared.fence(1)
        #expect(spared.partition(1, 0)?.shape == "[1,2,3] isr 1 leader none", "the topic's own word counts")
    }

    @Test("switching unclean election on brings offline partitions back")
    func uncleanSwitchedOn() {
        var model = model()
        model.apply(model.report(1, 0, isr: [1]))
        model.fence(1)
        model.apply(.configure(.cluster, "unclean.leader.election.enable", "true"))
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 2 leader 2")
        model.checkInvariants()
    }

    @Test("an unclean election on request leaves partitions alone that have a leader, and needs an active replica")
    func uncleanOnRequest() {
        var model = model()
        model.apply(model.report(1, 0, isr: [1]))
        let key = PartitionKey(topic: TopicID(1), index: PartitionIndex(0))
        let elect = Command.electLeaders(Command.ElectLeaders(.unclean, partitions: [key]))
        #expect(model.apply(elect).results?.map(\.summary) == ["leader 1, epochs 0 and 1"])
        model.fence(1)
        var allGone = model
        allGone.fence(2)
        allGone.fence(3)
        #expect(allGone.apply(elect).results?.map(\.summary) == ["eligible_leaders_not_available"])
        #expect(model.apply(elect).results?.map(\.summary) == ["leader 2, epochs 2 and 3"])
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 2 leader 2")
        model.checkInvariants()
    }
}
