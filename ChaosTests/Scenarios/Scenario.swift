/// A story of faults as data: which cluster, what strikes when, and what has to hold besides safety, which always has to.
struct Scenario: Sendable {
    var name: String
    var nodes = 3
    var settings: [String] = []
    var rounds: [FaultSchedule.Round]
    var bounds = Bounds()
    var workload = Workload.Options()
    /// A disk that can lose what was not synced.
    var losesPower = false
    /// Brokers send heartbeats besides, which some faults need.
    var keepsBrokers = false

    /// What clients have to be spared. The bounds are for a machine that does other things too; the report has what was measured.
    struct Bounds: Sendable {
        /// The longest time without an acknowledged write, for each fault.
        var writesUnavailable: Duration?
        var readsUnavailable: Duration?
        /// Nobody else leads at the end, and the term is the same.
        var keepsLeader = false
        /// No request of the client library fails.
        var sparesRequests = false
    }

    /// One round of faults; the load goes on for some time after the last.
    init(
        _ name: String, nodes: Int = 3, settings: [String] = [], length: Duration = .seconds(6),
        bounds: Bounds = Bounds(), faults: PlannedFault...
    ) {
        self.name = name
        self.nodes = nodes
        self.settings = settings
        self.bounds = bounds
        rounds = [FaultSchedule.Round(faults: faults, length: length)]
    }

    /// A long run with whatever the seed says.
    init(_ name: String, schedule: FaultSchedule, nodes: Int = 3) {
        self.name = name
        self.nodes = nodes
        rounds = schedule.rounds
    }

    var faults: [Fault] { rounds.flatMap { $0.faults.map(\.fault) } }
    var needsCuttableNetwork: Bool { faults.contains { $0.needsCuttableNetwork } }
    var needsLibrary: Bool { losesPower || faults.contains { $0.needsLibrary } }
    /// A number that no member has from the start.
    var hasNewcomer: Bool { faults.contains(.changeMembers) }
    var hasBrokers: Bool { keepsBrokers || faults.contains(.silenceBrokers) }
}
