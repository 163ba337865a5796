import Foundation

/// The named scenarios. Each is a different fault or topology; `README.md` lists them with the numbers that they have here.
enum Scenarios {
    static let all = network + fiveNodes + processes + disks + resources + operations

    /// What every run of the tests goes through; the others are run by name.
    static let quick = all.filter { isQuick($0.name) }

    private static func isQuick(_ name: String) -> Bool {
        [
            "leader isolated", "leader refused by all", "follower isolated", "one way from the leader to a follower",
            "leader hears nobody", "leader is heard by nobody", "chain of three", "leader's links flap",
            "follower's links flap", "slow links that reorder",
        ].contains(name)
    }

    /// The quick ones, or those whose names begin with what `CHAOS_SCENARIO` says: beginnings with commas between them.
    static let chosen: [Scenario] = {
        guard let beginnings = ProcessInfo.processInfo.environment["CHAOS_SCENARIO"]?.split(separator: ",") else {
            return quick
        }
        return all.filter { scenario in beginnings.contains { scenario.name.hasPrefix($0) } }
    }()

    /// What an election may take on a machine that does other things too. The report has what it took.
    private static let election = Scenario.Bounds(
        writesUnavailable: .milliseconds(3_500), readsUnavailable: .milliseconds(3_500))
    /// The leader and a majority are well.
    private static let undisturbed = Scenario.Bounds(
        writesUnavailable: .milliseconds(1_500), readsUnavailable: .milliseconds(1_500), keepsLeader: true)

    private static let length = Duration.milliseconds(4_600)
    /// Where nobody else may lead: long enough that a machine with other work does not make an election, and shorter than the fault,
    /// so that whoever is cut off has the time to ask for votes.
    private static let patient = ["raft.election_timeout=700ms"]
    private static let longer = Duration.milliseconds(2_400)

    private static let network: [Scenario] = [
        Scenario(
            "leader isolated", length: length, bounds: election, faults: PlannedFault(.cut(.isolated(.leader), .silent))
        ),
        Scenario(
            "leader refused by all", length: length, bounds: election,
            faults: PlannedFault(.cut(.isolated(.leader), .refused))),
        Scenario(
            "follower isolated", settings: patient, length: .seconds(5), bounds: undisturbed,
            faults: PlannedFault(.cut(.isolated(.follower), .silent), lasting: longer)),
        Scenario(
            "one way from the leader to a follower", settings: patient, length: .seconds(5), bounds: undisturbed,
            faults: PlannedFault(.cut(.oneWayFromLeader, .silent), lasting: longer)),
        Scenario(
            "one way from a follower to the leader", settings: patient, length: .seconds(5), bounds: undisturbed,
            faults: PlannedFault(.cut(.oneWayToLeader, .silent), lasting: longer)),
        Scenario(
            "leader hears nobody", length: length, bounds: election,
            faults: PlannedFault(.cut(.deaf(.leader), .silent))),
        Scenario(
            "leader is heard by nobody", length: length, bounds: election,
            faults: PlannedFault(.cut(.mute(.leader), .silent))),
        Scenario("chain of three", length: length, bounds: election, faults: PlannedFault(.cut(.ring, .silent))),
        Scenario(
            "leader's links flap", length: .seconds(6),
            faults: PlannedFault(
                .flap(.isolated(.leader), milliseconds: 250), lasting: .seconds(3))),
        Scenario(
            "follower's links flap", settings: patient, length: .seconds(5), bounds: undisturbed,
            faults: PlannedFault(
                .flap(.isolated(.follower), milliseconds: 150), lasting: .seconds(2))),
        Scenario(
            "slow links that reorder", length: length,
            faults: PlannedFault(.degrade(LinkCondition(delay: .milliseconds(20), jitter: .milliseconds(40))))),
        Scenario("lossy links", length: length, faults: PlannedFault(.degrade(LinkCondition(lossPerMille: 30)))),
        Scenario(
            "narrow links", length: length, faults: PlannedFault(.degrade(LinkCondition(bytesPerSecond: 48 << 10)))),
    ]

    private static let fiveNodes: [Scenario] = [
        Scenario(
            "halves, the leader in the smaller", nodes: 5, length: length, bounds: election,
            faults: PlannedFault(.cut(.leaderInMinority, .silent))),
        Scenario(
            "halves, the leader in the larger", nodes: 5, settings: patient, length: .seconds(5), bounds: undisturbed,
            faults: PlannedFault(.cut(.leaderInMajority, .silent), lasting: longer)),
        Scenario(
            "bridge of five", nodes: 5, length: length, bounds: election, faults: PlannedFault(.cut(.bridge, .silent))),
        Scenario(
            "ring of five", nodes: 5, length: length, bounds: election, faults: PlannedFault(.cut(.ring, .silent))),
        Scenario(
            "two of five killed", nodes: 5, settings: patient, length: .seconds(5), bounds: undisturbed,
            faults: PlannedFault(.kill(.minority), lasting: longer)),
    ]

    private static let processes: [Scenario] = [
        Scenario("leader killed", length: length, bounds: election, faults: PlannedFault(.kill(.leader))),
        Scenario("all killed", length: length, faults: PlannedFault(.kill(.all), lasting: .milliseconds(300))),
        Scenario("leader stopped", length: length, bounds: election, faults: PlannedFault(.pause(.leader))),
        Scenario(
            "followers stopped", length: length, faults: PlannedFault(.pause(.followers), lasting: .milliseconds(1_200))
        ),
    ]

    private static let disks: [Scenario] = {
        var powerLoss = Scenario(
            "power lost by all", length: length, faults: PlannedFault(.losePower(.all), lasting: .milliseconds(300)))
        powerLoss.losesPower = true
        return [
            Scenario("slow syncs", length: length, faults: PlannedFault(.slowSyncs(.all, milliseconds: 30))),
            Scenario(
                "leader's syncs hang", length: length, bounds: election, faults: PlannedFault(.hangSyncs(.leader))),
            Scenario(
                "leader's syncs fail", length: length, bounds: election,
                faults: PlannedFault(.failSyncs(.leader), lasting: .milliseconds(1_000))),
            powerLoss,
        ]
    }()

    private static let resources: [Scenario] = [
        Scenario(
            "clocks jump", settings: patient, length: length,
            bounds: Scenario.Bounds(keepsLeader: true, sparesRequests: true),
            faults: PlannedFault(.jumpClock(.leader, milliseconds: 7_200_000), lasting: .seconds(2)),
            PlannedFault(
                .jumpClock(.followers, milliseconds: -86_400_000), at: .milliseconds(1_300), lasting: .seconds(1))),
        Scenario("processors busy", length: length, faults: PlannedFault(.starveProcessors)),
        Scenario("follower out of memory", length: length, faults: PlannedFault(.limitMemory(.follower))),
        Scenario("leader out of descriptors", length: length, faults: PlannedFault(.takeDescriptors(.leader))),
    ]

    private static let operations: [Scenario] = [
        Scenario(
            "member comes and goes", length: .seconds(5), faults: PlannedFault(.changeMembers, lasting: .seconds(1))),
        Scenario(
            "rolling restart", length: .seconds(5), bounds: Scenario.Bounds(sparesRequests: true),
            faults: PlannedFault(.restartEach)),
        Scenario(
            "leadership to and fro", length: .seconds(5), bounds: Scenario.Bounds(sparesRequests: true),
            faults: PlannedFault(.transferLeadership, at: .milliseconds(800)),
            PlannedFault(.transferLeadership, at: .milliseconds(1_500)),
            PlannedFault(.transferLeadership, at: .milliseconds(2_200)),
            PlannedFault(.transferLeadership, at: .milliseconds(2_900))),
        Scenario(
            "silent brokers", length: .seconds(5), faults: PlannedFault(.silenceBrokers, lasting: .milliseconds(500))),
        Scenario(
            "member comes while the leader is stopped", length: .seconds(5),
            faults: PlannedFault(.changeMembers, lasting: .seconds(1)),
            PlannedFault(.pause(.leader), at: .milliseconds(1_200), lasting: .seconds(1))),
        Scenario("all mixed", schedule: FaultSchedule(seed: 7, length: .seconds(20), nodes: 3)),
    ]
}
