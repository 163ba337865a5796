import ArgumentParser
import Foundation
import Simulation

/// Runs seeds in this process and tells, line by line, how far it is. `run` and `soak` start it as a process of its own, since a
/// broken `precondition` ends the program: then they know which seed it was.
struct WorkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "work", abstract: "Run seeds for another process.", shouldDisplay: false)

    @OptionGroup var world: WorldOptions
    @Option var seeds: SeedRange
    @Option var trace: String?
    /// Ends after this many seconds; nil: with the last seed.
    @Option var seconds: Double?

    func run() throws {
        let start = ContinuousClock.now
        let file = try trace.map { try TraceFile(path: $0) }
        var total = SimulationReport(seed: 0)
        var runs = 0
        var told = 0.0
        func tell(runs: Int) {
            let computed = WorkCommand.computedSeconds
            say(.did(runs: runs, total, computedSeconds: computed - told))
            told = computed
            total = SimulationReport(seed: 0)
        }
        for seed in seeds.first...seeds.last {
            if let seconds, ContinuousClock.now - start > .seconds(seconds) { break }
            say(.begins(seed))
            let outcome = SimulatedCluster.outcome(
                seed: seed, options: world.simulation, trace: file.map { file in { file.write($0) } })
            total.add(outcome.report)
            runs += 1
            if let violation = outcome.violation {
                say(
                    .finds(
                        .init(
                            seed: seed, rule: violation.rule, detail: violation.detail,
                            milliseconds: outcome.report.simulatedMilliseconds,
                            struck: outcome.report.faultKinds.list.map(\.name))))
            }
            if runs % 50 == 0 { tell(runs: 50) }
        }
        try file?.close()
        tell(runs: runs % 50)
    }

    /// What this process has had of a core until now.
    private static var computedSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func say(_ line: WorkLine) {
        print(line.encoded)
        fflush(nil)
    }
}

/// One line of a worker.
enum WorkLine: Codable {
    case begins(UInt64)
    case finds(WorkFinding)
    /// With the time that a core needed for it, since the line before.
    case did(runs: Int, SimulationReport, computedSeconds: Double)

    /// A line that does not decode is not one of a worker's: text of the program that ended.
    init?(_ line: some StringProtocol) {
        do {
            self = try JSONDecoder().decode(WorkLine.self, from: Data(line.utf8))
        } catch {
            return nil
        }
    }

    var encoded: String {
        do {
            return String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
        } catch {
            preconditionFailure("a line of plain values does not encode: \(error)")
        }
    }
}

/// What a worker found.
struct WorkFinding: Codable, Hashable {
    var seed: UInt64
    var rule: String
    var detail: String
    var milliseconds: UInt64
    var struck: [String]

    var kinds: FaultKinds { FaultKinds(struck.compactMap { FaultKind(name: $0) }) }
}

/// Where a trace goes.
private final class TraceFile {
    private let handle: FileHandle
    private var buffer = Data()

    init(path: String) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw ValidationError("cannot write \(path)") }
        self.handle = handle
    }

    func write(_ line: String) {
        buffer.append(contentsOf: line.utf8)
        buffer.append(UInt8(ascii: "\n"))
        // A process that ends by a precondition leaves what was written, so little is held back.
        if buffer.count > 4_096 { flush() }
    }

    private func flush() {
        handle.write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    func close() throws {
        flush()
        try handle.close()
    }
}
