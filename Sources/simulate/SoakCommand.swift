import ArgumentParser
import Foundation
import Simulation

struct SoakCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak", abstract: "Run seeds drawn anew on all cores for some time.",
        discussion: """
            Clusters of one to five members take turns, one in nine on SQLite. Each broken rule is told once, with the smallest run that shows it; \
            of seeds that break it again only how to repeat them. Exits with status 1 if there was a finding.
            """)

    @Option(help: "How long.")
    var minutes: Double

    @Option(help: "Processes; as many as there are cores by default.")
    var processes: Int?

    @Option(help: "Start with this seed instead of a random one.")
    var from: UInt64?

    func validate() throws {
        guard minutes > 0 else { throw ValidationError("--minutes takes a positive number, not \(minutes)") }
        if let processes, processes < 1 { throw ValidationError("--processes takes 1 or more, not \(processes)") }
    }

    /// Sizes of clusters, in the order in which they take turns.
    private static let sizes = [3, 5, 3, 4, 5, 2, 3, 1]
    private static let seedsPerWorker: UInt64 = 200
    /// One turn of these runs on SQLite. No multiple of the sizes, so that each of them gets its turn.
    private static let turnsForSQLite = 9

    func run() throws {
        let start = ContinuousClock.now
        let end = start + .seconds(minutes * 60)
        let count = processes ?? ProcessInfo.processInfo.activeProcessorCount
        var next = from ?? UInt64.random(in: 1_000_000..<1_000_000_000_000)
        print("seeds from \(next), \(count) processes")
        var total = SimulationReport(seed: 0)
        var runs = 0
        var computedSeconds = 0.0
        var turn = 0
        var workers: [(worker: Worker, options: SimulationOptions)] = []
        var broken: [String: Int] = [:]
        while true {
            let left = end - ContinuousClock.now
            while left > .zero, workers.count < count {
                let options = SimulationOptions(
                    nodes: SoakCommand.sizes[turn % SoakCommand.sizes.count],
                    store: turn % SoakCommand.turnsForSQLite == 4 ? .sqlite : .memory)
                let seeds = SeedRange(first: next, last: next + SoakCommand.seedsPerWorker - 1)
                let seconds = Double(left.components.seconds) + 1
                workers.append((try Worker(seeds: seeds, options: options, seconds: seconds), options))
                next += SoakCommand.seedsPerWorker
                turn += 1
            }
            guard !workers.isEmpty else { break }
            Thread.sleep(forTimeInterval: 0.2)
            for place in workers.indices.reversed() where !workers[place].worker.isRunning {
                let (worker, options) = workers.remove(at: place)
                try worker.finish()
                total.add(worker.report)
                runs += worker.runs
                computedSeconds += worker.computedSeconds
                for finding in worker.findings {
                    broken[finding.rule, default: 0] += 1
                    let report = FindingReport(finding: finding, options: options)
                    if broken[finding.rule] == 1 { try report.tell() } else { report.tellInALine() }
                }
            }
        }
        for (rule, times) in broken.sorted(by: { $0.key < $1.key }) { print("\(rule): \(times) seeds") }
        print(total.summary(runs: runs, elapsed: ContinuousClock.now - start, computedSeconds: computedSeconds))
        if !broken.isEmpty { throw ExitCode(1) }
    }
}
