import ArgumentParser
import Foundation
import Simulation

/// The side of `simulate mutants` that runs in the mutated copy: seeds one after the other until something is found, told in a
/// form that survives a crash.
struct Probe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run seeds and report in a form for programs.", shouldDisplay: false)

    @Option(help: "first..last.")
    var seeds: SeedRange

    @Option(help: "Kinds of faults that take part in each run.")
    var always = FaultKinds()

    func run() throws {
        for seed in seeds.first...seeds.last {
            tell(ProbeLine.begins(seed: seed))
            // Three nodes and five by turns: some mistakes need one, some the other.
            let options = SimulationOptions(nodes: seed % 2 == 0 ? 3 : 5, always: always)
            do throws(Violation) {
                let report = try SimulatedCluster.run(seed: seed, options: options)
                tell(ProbeLine.clean(milliseconds: report.simulatedMilliseconds))
            } catch {
                let milliseconds = options.faultyMilliseconds + options.recoveryMilliseconds
                tell(ProbeLine.finding(rule: error.rule, milliseconds: milliseconds))
                return
            }
        }
        tell(ProbeLine.end)
    }
}

/// Writes a line at once: what `print` keeps back is lost in a crash, and unseen by who waits for a long table.
func tell(_ line: some CustomStringConvertible) {
    FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}
