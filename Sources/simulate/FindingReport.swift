import Foundation
import Simulation

/// Tells a finding: the seed, the revision, the options, the smallest run that still shows it, and how to repeat both.
struct FindingReport {
    var finding: WorkFinding
    var options: SimulationOptions

    /// Lines at the end of a trace that are shown.
    private static let linesMax = 40

    func tell() throws {
        print("seed \(finding.seed): \(finding.rule): \(finding.detail)")
        print("revision: \(FindingReport.revision ?? "not known")")
        print("repeat: \(command(options))")
        let seed = finding.seed
        var shrinker = Shrinker(rule: finding.rule) { options in
            do {
                let worker = try Worker(seeds: SeedRange(first: seed, last: seed), options: options)
                try worker.finish()
                guard let found = worker.findings.first else {
                    return .init(rule: nil, milliseconds: 0, struck: FaultKinds())
                }
                return .init(rule: found.rule, milliseconds: found.milliseconds, struck: found.kinds)
            } catch {
                // Not to be started is not to show the finding.
                return .init(rule: nil, milliseconds: 0, struck: FaultKinds())
            }
        }
        let smallest = shrinker.shrink(
            options, first: .init(rule: finding.rule, milliseconds: finding.milliseconds, struck: finding.kinds))
        print("smallest run that was found in \(shrinker.tries) tries: \(command(smallest))")
        try tellTrace(smallest)
    }

    /// Of a rule whose first breach was told already.
    func tellInALine() { print("seed \(finding.seed): \(finding.rule) again; repeat: \(command(options))") }

    private func tellTrace(_ options: SimulationOptions) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "simulate-\(finding.seed).trace").path
        let worker = try Worker(
            seeds: SeedRange(first: finding.seed, last: finding.seed), options: options, trace: path)
        try worker.finish()
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        print("its trace, \(lines.count) lines, in \(path); the end of it:")
        for line in lines.suffix(FindingReport.linesMax) { print("  \(line)") }
    }

    private func command(_ options: SimulationOptions) -> String {
        (["simulate", "run", "--seeds", "\(finding.seed)"] + options.arguments).joined(separator: " ")
    }

    /// Of the working copy that the program is started in, if it is one.
    private static var revision: String? {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
            let text = try output.fileHandleForReading.readToEnd().map { String(decoding: $0, as: UTF8.self) }
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { return nil }
            return text.map { String($0.prefix { $0 != "\n" }) }
        } catch {
            return nil
        }
    }
}

extension SimulationReport {
    /// The last line of a command.
    ///
    /// - Parameter computedSeconds: of one core, in all processes together.
    func summary(runs: Int, elapsed: Duration, computedSeconds: Double) -> String {
        let perSecond = Double(simulatedMilliseconds) / 1_000 / max(computedSeconds, 0.001)
        return "\(runs) runs, \(simulatedMilliseconds / 1_000) simulated seconds in "
            + "\(elapsed.formatted(.units(allowed: [.minutes, .seconds], fractionalPart: .show(length: 1)))) "
            + "(\(perSecond.formatted(.number.precision(.fractionLength(1)))) in a second of one core), "
            + "\(events) events, \(elections) elections, \(starts) starts, \(snapshots) snapshots, "
            + "\(acknowledgedWrites) writes, \(reads) reads, \(watchedEvents) watched events; faults: \(faults)"
    }
}
