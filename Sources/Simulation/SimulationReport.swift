/// What a run did: shown so that a person sees that the faults took place.
package struct SimulationReport: Hashable, Codable, Sendable {
    package var seed: UInt64
    package var simulatedMilliseconds: UInt64 = 0
    package var events: UInt64 = 0
    package var elections = 0
    package var acknowledgedWrites = 0
    package var reads = 0
    package var watchedEvents = 0
    package var snapshots = 0
    package var starts = 0
    /// Depends on everything that happened: equal for equal seeds, in every process.
    package var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    private var faultCounts = Array(repeating: 0, count: FaultKind.allCases.count)
    private var markCounts = Array(repeating: 0, count: CoverageMark.allCases.count)

    package init(seed: UInt64) { self.seed = seed }

    package func count(_ kind: FaultKind) -> Int { faultCounts[kind.rawValue] }
    package func count(_ mark: CoverageMark) -> Int { markCounts[mark.rawValue] }

    mutating func happened(_ kind: FaultKind) { faultCounts[kind.rawValue] += 1 }
    mutating func reached(_ mark: CoverageMark) { markCounts[mark.rawValue] += 1 }

    mutating func note(_ value: UInt64) {
        trace = (trace ^ value) &* 0x100_0000_01B3
        trace ^= trace >> 29
    }

    /// Adds up what several runs did.
    package mutating func add(_ other: SimulationReport) {
        simulatedMilliseconds += other.simulatedMilliseconds
        events += other.events
        elections += other.elections
        acknowledgedWrites += other.acknowledgedWrites
        reads += other.reads
        watchedEvents += other.watchedEvents
        snapshots += other.snapshots
        starts += other.starts
        for number in faultCounts.indices { faultCounts[number] += other.faultCounts[number] }
        for number in markCounts.indices { markCounts[number] += other.markCounts[number] }
        note(other.trace)
    }

    /// Every kind that struck, with how often.
    package var faults: String {
        let struck = FaultKind.allCases.filter { count($0) > 0 }.map { "\(count($0)) \($0)" }
        return struck.isEmpty ? "none" : struck.joined(separator: ", ")
    }

    package var faultKinds: FaultKinds { FaultKinds(FaultKind.allCases.filter { count($0) > 0 }) }
}
