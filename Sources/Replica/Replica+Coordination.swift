package import Coordination
package import MetadataModel
internal import MetadataSchema
internal import RaftCore

/// The coordinator of a member, and what it needs to know of the log: a survey is worth something only when everything that
/// was proposed before it is applied.
struct Coordination: Sendable {
    private enum Proposal: Hashable {
        case none
        /// Part of the next batch. Exits: `through`, `none`.
        case gathered
        /// In the log before or at this index. Exit: `none`, when that is applied.
        case through(LogIndex)
    }

    /// Nil where nothing is to be done by itself.
    private(set) var coordinator: Coordinator?
    private var proposal = Proposal.none
    /// What members understand, as they said themselves.
    var featureLevels: [NodeID: UInt32] = [:]

    init(_ options: CoordinatorOptions?) { coordinator = options.map { Coordinator($0) } }

    /// Other limits, from the next decision on. Whether there is a coordinator at all stays as it is.
    mutating func configure(_ options: CoordinatorOptions?) {
        if let options { coordinator?.configure(options) }
    }

    var isOn: Bool { coordinator != nil }

    mutating func isSettled(at applied: LogIndex) -> Bool {
        switch proposal {
        case .none: return true
        case .gathered: return false
        case .through(let index):
            guard applied >= index else { return false }
            proposal = .none
            return true
        }
    }

    mutating func gathered() { proposal = .gathered }

    /// - Parameter index: the end of the log; zero when nothing was appended.
    mutating func gatheredWasProposed(through index: LogIndex) {
        if proposal == .gathered { proposal = .through(index) }
    }

    mutating func becameLeader(now: UInt64, brokers: [Broker]) {
        proposal = .none
        coordinator?.becameLeader(now: now, brokers: brokers)
    }

    mutating func resigned() {
        proposal = .none
        coordinator?.resigned()
    }

    mutating func applied(_ report: AppliedReport) {
        for broker in report.brokers { coordinator?.brokerChanged(broker) }
        for id in report.removedBrokers { coordinator?.brokerRemoved(id) }
        if let rebalance = report.rebalance { coordinator?.rebalanceChanged(rebalance) }
    }

    mutating func tick(_ facts: Coordinator.Facts) -> [Coordinator.Action] { coordinator?.tick(facts) ?? [] }

    mutating func surveyed(_ report: SurveyReport, _ facts: Coordinator.Facts) -> [Coordinator.Action] {
        coordinator?.surveyed(report, facts) ?? []
    }

    mutating func surveyFailed(ticket: UInt64, _ facts: Coordinator.Facts) {
        coordinator?.surveyFailed(ticket: ticket, facts)
    }
}

extension Replica {
    /// What the coordinator is about; nil on a member that does not lead.
    package var coordinatorStatus: CoordinatorStatus? {
        guard isLeader, var status = coordination.coordinator?.status else { return nil }
        for place in status.drains.indices { status.drains[place].bytes = usedBytes(of: status.drains[place].id) }
        return status
    }

    /// The answer to `Effect.survey`.
    package mutating func surveyed(_ report: SurveyReport) {
        perform(coordination.surveyed(report, coordinatorFacts()))
    }

    /// Nothing could be read.
    package mutating func surveyFailed(ticket: UInt64) {
        coordination.surveyFailed(ticket: ticket, coordinatorFacts())
    }

    mutating func tickCoordinator() {
        guard coordination.isOn, protection.quarantine == nil else { return }
        perform(coordination.tick(coordinatorFacts()))
    }

    private mutating func perform(_ actions: [Coordinator.Action]) {
        for action in actions {
            switch action {
            case .survey(let request):
                effects.append(.survey(request))
            case .propose(let command):
                proposeOwn(command)
                coordination.gathered()
            }
        }
    }

    private mutating func coordinatorFacts() -> Coordinator.Facts {
        let isSettled = coordination.isSettled(at: core.appliedIndex) && core.appliedIndex >= electedAt
        return Coordinator.Facts(
            now: now, version: version, isSettled: isSettled, quorumTrouble: quorumTrouble,
            featureLevelOfMembers: options.raisesFeatureLevel ? featureLevelOfMembers : 0)
    }

    /// Moves wait while the quorum could not lose another voter, though not where it never could, and while there is little
    /// room for what they write.
    private var quorumTrouble: String? {
        if protection.room.isLow { return "there is little room on the disk of the leader" }
        let voters = core.configuration.voters
        guard !core.configuration.isJoint else { return "the members are being changed" }
        let silent = core.progress.count { voters.contains($0.id) && !$0.isActive }
        guard silent > 0, voters.count - silent - 1 <= voters.count / 2 else { return nil }
        return "the quorum could not lose another member"
    }

    /// What every member understands; 0 while one of them has not said.
    private var featureLevelOfMembers: UInt32 {
        var level = Limits.featureLevelMax
        // A member that is silent may come back as an older program.
        let active = core.progress.filter(\.isActive).map(\.id)
        for member in core.configuration.members where member.id != id {
            level = min(level, active.contains(member.id) ? coordination.featureLevels[member.id] ?? 0 : 0)
        }
        return level
    }

    /// Why the feature level cannot be raised so far: a member that does not understand it would refuse what the others do.
    func refusal(ofLevelIn intent: WriteIntent) -> Refusal? {
        // Any other command is longer, or is not looked at.
        guard intent.command.count <= Replica.levelCommandBytesMax else { return nil }
        let command: Command
        do {
            command = try Command(schemaBytes: intent.command)
        } catch {
            // It is refused when it is applied.
            return nil
        }
        guard case .setFeatureLevel(let level) = command, level > featureLevelOfMembers else { return nil }
        return Refusal(
            .unsupportedFeature,
            "not every node is there and has said that it understands level \(level); all of them understand "
                + "\(featureLevelOfMembers)")
    }

    /// Of an encoded `setFeatureLevel`.
    private static let levelCommandBytesMax = 16
}
