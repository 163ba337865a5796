import RaftCore

/// What goes wrong in a long run, drawn from a seed: the same seed gives the same faults at the same times. What comes of them
/// is not the same, for processes and disks decide the order of events.
struct FaultSchedule: Hashable, Sendable {
    /// One after the other; each ends with a calm in which everything has to come back.
    var rounds: [Round]

    struct Round: Hashable, Sendable {
        var faults: [PlannedFault]
        /// Of the load, the calm behind the last fault included.
        var length: Duration
    }

    /// How long a round's faults may go on.
    private static let roundSeconds = 40
    private static let calmSeconds = 6

    /// - Parameters:
    ///   - nodes: members from the start.
    ///   - hasLibrary: whether disks and clocks can be disturbed.
    init(seed: UInt64, length: Duration, nodes: Int, hasLibrary: Bool = true) {
        var generator = SeededGenerator(seed: seed, stream: 0xC405)
        rounds = []
        var left = Int(length.components.seconds)
        while left > 0 {
            let length = min(left, Self.roundSeconds)
            rounds.append(Self.round(seconds: max(length, 10), nodes, hasLibrary, &generator))
            left -= length
        }
    }

    /// Nothing goes wrong.
    init(calmFor length: Duration) {
        let count = max(1, Int(length.components.seconds) / Self.roundSeconds)
        rounds = Array(repeating: Round(faults: [], length: length / count), count: count)
    }

    private static func round(
        seconds: Int, _ nodes: Int, _ hasLibrary: Bool, _ generator: inout SeededGenerator
    ) -> Round {
        var faults: [PlannedFault] = []
        let end = (seconds - calmSeconds) * 1_000
        var time = 1_000 + generator.below(2_000)
        while time < end {
            // Most faults are short: what happens when they begin and end matters more than what happens meanwhile.
            let longest = [1_500, 4_000, 10_000, 30_000][[0, 0, 1, 1, 1, 2, 2, 3][generator.below(8)]]
            let lasts = min(500 + generator.below(longest), max(500, end - time))
            let first = draw(nodes, hasLibrary, &generator)
            faults.append(PlannedFault(first, at: .milliseconds(time), lasting: .milliseconds(lasts)))
            // Every third time another one strikes on top of it.
            if generator.below(3) == 0 {
                let second = draw(nodes, hasLibrary, &generator)
                let delay = generator.below(lasts)
                if !first.excludes(second) {
                    faults.append(
                        PlannedFault(
                            second, at: .milliseconds(time + delay), lasting: .milliseconds(max(500, lasts - delay))))
                }
            }
            time += lasts + 1_000 + generator.below(4_000)
        }
        return Round(faults: faults, length: .seconds(seconds))
    }

    private static func draw(_ nodes: Int, _ hasLibrary: Bool, _ generator: inout SeededGenerator) -> Fault {
        let all = kinds(nodes).filter { hasLibrary || !$0.needsLibrary }
        return all[generator.below(all.count)]
    }

    /// What strikes at random. Filling disks and losing power need set-ups of their own and are scenarios.
    static func kinds(_ nodes: Int) -> [Fault] {
        let ofFive: [Fault] = [
            .cut(.leaderInMinority, .silent), .cut(.leaderInMajority, .silent), .cut(.bridge, .silent),
            .cut(.ring, .silent), .kill(.minority),
        ]
        let always: [Fault] = [
            .kill(.leader), .kill(.leader), .kill(.follower), .kill(.all), .pause(.leader), .pause(.leader),
            .pause(.follower), .pause(.followers), .cut(.isolated(.leader), .silent),
            .cut(.isolated(.leader), .refused), .cut(.isolated(.follower), .silent),
            .cut(.oneWayFromLeader, .silent), .cut(.oneWayToLeader, .silent), .cut(.deaf(.leader), .silent),
            .cut(.mute(.leader), .silent), .cut(.deaf(.follower), .silent), .cut(.mute(.follower), .silent),
            .flap(.isolated(.leader), milliseconds: 300), .flap(.isolated(.follower), milliseconds: 150),
            .degrade(LinkCondition(delay: .milliseconds(40), jitter: .milliseconds(80))),
            .degrade(LinkCondition(lossPerMille: 30)), .degrade(LinkCondition(bytesPerSecond: 64 << 10)),
            .slowSyncs(.leader, milliseconds: 100), .slowSyncs(.all, milliseconds: 40), .hangSyncs(.leader),
            .hangSyncs(.follower), .failSyncs(.leader), .failSyncs(.follower),
            .jumpClock(.leader, milliseconds: 3_600_000), .jumpClock(.all, milliseconds: -86_400_000),
            .starveProcessors, .limitMemory(.follower), .takeDescriptors(.leader), .takeDescriptors(.follower),
            .transferLeadership, .transferLeadership, .changeMembers, .restartEach, .silenceBrokers,
        ]
        return nodes > 3 ? always + ofFive : always
    }
}

extension Fault {
    /// Two that each start and stop processes get in each other's way, and say nothing that one alone does not.
    func excludes(_ other: Fault) -> Bool {
        if self == other { return true }
        return handlesProcesses && other.handlesProcesses
    }

    private var handlesProcesses: Bool {
        switch self {
        case .kill, .losePower, .pause, .failSyncs, .fillDisk, .limitMemory, .takeDescriptors, .changeMembers,
            .restartEach, .hangSyncs:
            true
        case .cut, .flap, .degrade, .slowSyncs, .ignoreSyncs, .jumpClock, .starveProcessors, .transferLeadership,
            .silenceBrokers:
            false
        }
    }
}
