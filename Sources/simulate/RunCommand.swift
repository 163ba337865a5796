import ArgumentParser
import Foundation
import Simulation

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a range of seeds and stop at the first finding.",
        discussion: """
            Exits with status 1 on a finding, after the smallest run that still shows it was looked for. Run it in an \
            optimized build.
            """)

    @OptionGroup var world: WorldOptions

    @Option(help: "One seed, or first..last.")
    var seeds: SeedRange

    @Option(help: "Write what happens into this file; for a single seed.")
    var trace: String?

    @Flag(help: "Show what was reached how often.")
    var marks = false

    func validate() throws {
        if trace != nil, seeds.first != seeds.last { throw ValidationError("--trace goes with a single seed") }
    }

    func run() throws {
        let start = ContinuousClock.now
        let worker = try Worker(seeds: seeds, options: world.simulation, trace: trace)
        while worker.isRunning {
            Thread.sleep(forTimeInterval: 0.05)
            try worker.listen()
            if !worker.findings.isEmpty { worker.stop() }
        }
        try worker.finish()
        if let finding = worker.findings.first {
            try FindingReport(finding: finding, options: world.simulation).tell()
            throw ExitCode(1)
        }
        if marks {
            for mark in CoverageMark.allCases { print("\(worker.report.count(mark)) \(mark.name)") }
        }
        print(
            worker.report.summary(
                runs: worker.runs, elapsed: ContinuousClock.now - start, computedSeconds: worker.computedSeconds))
    }
}
