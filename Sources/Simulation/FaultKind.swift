/// What can go wrong in a run, one by one: a run draws its own mix of them, and a finding is told with the smallest set that
/// still shows it.
package enum FaultKind: Int, CaseIterable, Hashable, Sendable {
    // The network between members.
    case slowMessages
    case lostMessages
    case doubledMessages
    case reorderedMessages
    case isolation
    case halves
    case oneWay
    case bridge
    case ring
    case flappingLink
    case slowLink
    case brokenConnection
    // Between clients and members.
    case lostAnswers
    case clientCut
    /// A copy of a request arrives when it was answered long ago.
    case lateRequests
    /// Many writes at once to who believes that it leads, and nobody waits for the answers.
    case burst
    // Processes and machines.
    case kill
    case powerLoss
    case powerLossOfAll
    case pause
    case clockRates
    case transfer
    // Members.
    case memberChange
    // Disks.
    case slowSync
    case hungSync
    case failedSync
    case fullDisk
    case lowDisk
    case bitFlip
    case flippedRead
    case misdirectedWrite
    case wipe
    // The state machine and snapshots.
    case divergence
    case slowApply
    case shortLog
    case brokenSnapshot
    // Brokers.
    case silentBroker
    /// Requests that speak of an epoch that has passed.
    case staleEpochs
    /// The leader moves leaders and replicas by itself, and brokers do as they are told.
    case coordinator
    case pausedBroker
    case brokerShutdown
    case lostBroker
    /// Copies of heartbeats come late, and some speak of an epoch that never was.
    case lateHeartbeats

    /// As the command line takes it: the name of the case.
    package init?(name: some StringProtocol) {
        guard let kind = FaultKind.allCases.first(where: { $0.name == name }) else { return nil }
        self = kind
    }

    package var name: String { "\(self)" }

    /// Faults that strike now and then, with the mean time between two of them in milliseconds. The others are a property of
    /// the whole run.
    var meanMilliseconds: Int? {
        switch self {
        case .isolation, .halves, .oneWay, .bridge, .ring: 2_500
        case .flappingLink, .slowLink, .brokenConnection: 1_500
        case .clientCut: 2_000
        case .burst: 2_500
        case .kill: 1_500
        case .powerLoss: 2_000
        case .powerLossOfAll: 6_000
        case .pause: 2_500
        case .transfer: 1_200
        case .memberChange: 300
        case .hungSync: 4_000
        case .failedSync: 4_000
        case .fullDisk, .lowDisk: 5_000
        case .bitFlip, .misdirectedWrite, .wipe: 5_000
        case .divergence: 3_000
        case .flippedRead: 3_000
        case .silentBroker, .pausedBroker: 2_500
        case .brokerShutdown: 3_000
        case .lostBroker: 5_000
        case .slowMessages, .lostMessages, .doubledMessages, .reorderedMessages, .lostAnswers, .lateRequests,
            .clockRates,
            .slowSync, .slowApply, .shortLog, .brokenSnapshot, .staleEpochs, .coordinator, .lateHeartbeats:
            nil
        }
    }

    /// Leaves a member without its log for the rest of the run, so that only a minority may be struck.
    var damagesDisk: Bool {
        switch self {
        case .bitFlip, .misdirectedWrite, .wipe: true
        default: false
        }
    }
}

/// A set of kinds, in the order of their declaration whenever it is shown.
package struct FaultKinds: Hashable, Sendable, CustomStringConvertible {
    private var bits: UInt64 = 0

    package init(_ kinds: some Sequence<FaultKind> = []) { for kind in kinds { insert(kind) } }

    package static let all = FaultKinds(FaultKind.allCases)

    package func contains(_ kind: FaultKind) -> Bool { bits & (1 << UInt64(kind.rawValue)) != 0 }
    package mutating func insert(_ kind: FaultKind) { bits |= 1 << UInt64(kind.rawValue) }
    package mutating func remove(_ kind: FaultKind) { bits &= ~(1 << UInt64(kind.rawValue)) }
    package var list: [FaultKind] { FaultKind.allCases.filter(contains) }
    package var isEmpty: Bool { bits == 0 }

    /// Names with commas between them, as the command line takes them.
    package var description: String { list.map(\.name).joined(separator: ",") }
}
