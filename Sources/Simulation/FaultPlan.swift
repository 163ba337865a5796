internal import Coordination
internal import MetadataModel
internal import RaftCore

/// How hard the world is on this run. Drawn once for each run, so that runs differ from each other more than from themselves
/// (swarm testing: Groce et al., 2012): about half of the kinds take part, each with a strength of its own.
///
/// Every kind draws from a stream of its own. Taking one out leaves the plans of the others as they were, which is what makes
/// shrinking work.
struct FaultPlan {
    /// What takes part.
    private(set) var kinds = FaultKinds()
    /// Nothing was to go wrong from the beginning.
    let isCalm: Bool
    /// How often, of 1,000; only for kinds that are a property of the run.
    private var perMille: [Int]
    /// For those that strike now and then: between two of them, on average.
    private var meanMicroseconds: [UInt64]
    private var generators: [SeededGenerator]
    /// The longest delay of a message in ordinary times.
    private(set) var delayMicrosecondsMax: Int
    /// Clients, their work and their pauses.
    private(set) var pauseMicrosecondsMax: Int
    private(set) var clientWindow: Int
    /// Whether messages go through the wire's encoding.
    private(set) var usesWire: Bool
    private(set) var segmentBytes: Int
    /// Entries that a log holds before it is cut.
    private var logEntriesMax: Int
    /// How many times as long the logs of some members are: what one has cut another still has.
    private var logFactors = [1]
    private(set) var checkpointBytes: Int
    /// Bytes and entries that a leader holds before it refuses more.
    private(set) var uncommittedBytesMax: Int
    private(set) var unappliedEntriesMax: Int
    /// Some turns take in several inputs before they end, as a busy node does.
    private(set) var batchesTurns: Bool
    /// Bytes of entries in one append; 1 sends each entry by itself (Raft, Figure 8).
    private(set) var appendBytesMax: Int
    /// Clients that read and do nothing else, and how often each of them does.
    private(set) var readers: Int
    private(set) var readPauseMicroseconds: Int
    /// What leaders do by themselves about replicas and leaders; nil: nothing.
    private(set) var coordinator: CoordinatorOptions?

    /// - Parameters:
    ///   - wanted: other kinds are left out, however they were drawn.
    ///   - always: take part, however they were drawn.
    init(seed: UInt64, wanted: FaultKinds, always: FaultKinds = FaultKinds()) {
        var generator = SeededGenerator(seed: seed, stream: 0xFA01)
        let count = FaultKind.allCases.count
        perMille = Array(repeating: 0, count: count)
        meanMicroseconds = Array(repeating: 0, count: count)
        generators = (0..<count).map { SeededGenerator(seed: seed, stream: 0x1000 + UInt64($0)) }
        // One run in eight is calm but for one kind or none: some mistakes hide behind the noise of others.
        let calm = generator.below(8) == 0
        let chosen = generator.below(count)
        for kind in FaultKind.allCases {
            let number = kind.rawValue
            // Drawn whether it is used or not, so that the rest of the plan does not depend on it.
            let takesPart = generator.below(1_000) < (calm ? (number == chosen ? 1_000 : 0) : kind.sharePerMille)
            let strength = generator.below(3)
            perMille[number] = kind.strengths[strength]
            if let mean = kind.meanMilliseconds {
                meanMicroseconds[number] = UInt64(mean) * 1_000 * [2, 1, 1][strength] / [1, 1, 2][strength]
            }
            if takesPart || always.contains(kind), wanted.contains(kind) { kinds.insert(kind) }
        }
        isCalm = kinds.isEmpty
        delayMicrosecondsMax = [500, 1_000, 2_000, 8_000][generator.below(4)]
        pauseMicrosecondsMax = [12_000, 30_000, 80_000][generator.below(3)]
        clientWindow = [1, 2, 4][generator.below(3)]
        usesWire = generator.below(8) == 0
        segmentBytes = [6 << 10, 16 << 10, 64 << 10][generator.below(3)]
        logEntriesMax = [200, 500, 2_000][generator.below(3)]
        checkpointBytes = [4_000, 20_000, 80_000][generator.below(3)]
        uncommittedBytesMax = [1_500, 16_384, 1 << 20][generator.below(3)]
        unappliedEntriesMax = [30, 400][generator.below(2)]
        batchesTurns = generator.below(2) == 0
        appendBytesMax = [1, 400, 4_096][generator.below(3)]
        readers = [0, 1, 2][generator.below(3)]
        readPauseMicroseconds = [10_000, 40_000, 120_000][generator.below(3)]
        if kinds.contains(.slowMessages) { delayMicrosecondsMax = perMille[FaultKind.slowMessages.rawValue] * 1_000 }
        if kinds.contains(.shortLog) {
            logEntriesMax = perMille[FaultKind.shortLog.rawValue]
            checkpointBytes = 3_000
            for _ in 0..<2 { logFactors.append([1, 8][draw(.shortLog, below: 2)]) }
        }
        if kinds.contains(.coordinator) { coordinator = drawCoordinator() }
    }

    /// As fast as brokers die and leaders change here.
    private mutating func drawCoordinator() -> CoordinatorOptions {
        CoordinatorOptions(
            startsRebalances: draw(.coordinator, below: 2) == 0,
            strategy: BalanceStrategy.allCases[draw(.coordinator, below: BalanceStrategy.allCases.count)],
            imbalanceMax: 0.05, rebalanceIntervalMilliseconds: 1_500,
            movesPerBrokerMax: 1 + draw(.coordinator, below: 4), movesMax: 2 + draw(.coordinator, below: 6),
            stepMilliseconds: 1_500, leaderIntervalMilliseconds: 1_000)
    }

    func logEntriesMax(of node: NodeID) -> Int {
        logEntriesMax * logFactors[Int(node.rawValue) % logFactors.count]
    }

    /// Machines that belong to nothing at the start: there to become members.
    var spareMachines: Int { kinds.contains(.memberChange) ? 2 : 0 }

    /// Nothing goes wrong and a given load comes in: for measuring.
    init(calmWithSeed seed: UInt64, pauseMicrosecondsMax: Int) {
        self.init(seed: seed, wanted: FaultKinds())
        delayMicrosecondsMax = 1_000
        self.pauseMicrosecondsMax = pauseMicrosecondsMax
        clientWindow = 1
        usesWire = false
        segmentBytes = 64 << 10
        logEntriesMax = 500
        checkpointBytes = 40_000
        uncommittedBytesMax = 1 << 20
        unappliedEntriesMax = 400
        batchesTurns = true
        appendBytesMax = 4_096
        readers = 0
    }

    /// Whether a kind that is a property of the run strikes here.
    mutating func strikes(_ kind: FaultKind) -> Bool {
        guard kinds.contains(kind) else { return false }
        let number = kind.rawValue
        return generators[number].below(1_000) < perMille[number]
    }

    /// The time until the next strike of a kind; nil when it takes no part. Between a fifth and nearly twice the mean.
    mutating func pause(_ kind: FaultKind) -> UInt64? {
        guard kinds.contains(kind), kind.meanMilliseconds != nil else { return nil }
        let mean = meanMicroseconds[kind.rawValue]
        return mean / 5 + UInt64(generators[kind.rawValue].below(Int(mean) * 8 / 5))
    }

    /// A number from the stream of a kind, in `0..<bound`.
    mutating func draw(_ kind: FaultKind, below bound: Int) -> Int { generators[kind.rawValue].below(bound) }

    mutating func draw(_ kind: FaultKind, _ low: Int, _ high: Int) -> Int {
        low + generators[kind.rawValue].below(high - low + 1)
    }

    /// From now on nothing strikes any more, and messages are as fast as in ordinary times. What the run began with stays.
    mutating func calm() {
        for kind in kinds.list where kind != .clockRates && kind != .shortLog { kinds.remove(kind) }
        delayMicrosecondsMax = min(delayMicrosecondsMax, 2_000)
    }
}

extension FaultKind {
    /// How many of 1,000 runs it takes part in.
    fileprivate var sharePerMille: Int {
        switch self {
        case .shortLog, .reorderedMessages, .clockRates, .kill, .powerLoss: 500
        case .bitFlip, .misdirectedWrite, .wipe: 200
        case .hungSync, .failedSync, .fullDisk, .lowDisk, .flippedRead, .powerLossOfAll: 250
        case .slowMessages: 250
        case .coordinator: 500
        default: 400
        }
    }

    /// What weak, middling and strong are; of 1,000 but for delays (milliseconds) and lengths of logs (entries).
    fileprivate var strengths: [Int] {
        switch self {
        case .slowMessages: [20, 60, 150]
        case .lostMessages: [5, 50, 200]
        case .doubledMessages: [20, 50, 150]
        case .reorderedMessages: [20, 200, 1_000]
        case .lostAnswers: [10, 50, 200]
        case .lateRequests: [20, 80, 250]
        case .staleEpochs: [50, 200, 500]
        case .lateHeartbeats: [20, 100, 300]
        case .clockRates: [10, 50, 150]
        case .slowSync: [20, 100, 400]
        case .slowApply: [5, 20, 50]
        case .shortLog: [20, 50, 100]
        case .brokenSnapshot: [20, 80, 250]
        case .isolation, .halves, .oneWay, .bridge, .ring, .flappingLink, .slowLink, .brokenConnection, .clientCut,
            .burst, .kill, .powerLoss, .powerLossOfAll, .pause, .transfer, .memberChange, .hungSync, .failedSync,
            .fullDisk,
            .lowDisk, .bitFlip, .flippedRead, .misdirectedWrite, .wipe, .divergence, .silentBroker, .coordinator,
            .pausedBroker, .brokerShutdown, .lostBroker:
            [0, 0, 0]
        }
    }
}
