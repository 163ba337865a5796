import ArgumentParser
import Foundation
import Simulation

/// Shows that the checkers find bugs: plants one after the other into a copy of the sources.
struct Mutants: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plant known bugs into a copy of the sources and show which checker finds each.",
        discussion: """
            Run it in the folder of Package.swift. The copy lies in .build-mutants and is built once; the sources stay as \
            they are. Ends with status 1 if a planted bug is not found, or something is found without any.
            """)

    @Option(help: "Seeds for each mutant, at most.")
    var seeds: UInt64 = 400

    @Option(help: "The first seed.")
    var first: UInt64 = 0

    @Option(help: "Seconds for each mutant, at most.")
    var seconds: Int = 300

    @Option(help: "Mutants that run at a time.")
    var jobs: Int = ProcessInfo.processInfo.activeProcessorCount

    @Option(help: "Only these, by name.")
    var only: [String] = []

    @Flag(help: "Name the mutants and check their places, and build nothing.")
    var list = false

    func validate() throws {
        guard seeds > 0, seconds > 0, jobs > 0 else { throw ValidationError("a number above zero is needed") }
        for name in only where !Mutant.all.contains(where: { $0.name == name }) {
            throw ValidationError("there is no mutant '\(name)'; see --list")
        }
    }

    func run() throws {
        let package = MutatedPackage(
            root: URL(filePath: FileManager.default.currentDirectoryPath), mutants: Mutant.all)
        if list {
            _ = try package.mutatedFiles()
            for mutant in Mutant.all { tell("\(mutant.name): \(mutant.title)") }
            return
        }
        try package.build()
        let clean = try finish([try begin(nil, name: "none", faults: FaultKinds(), from: first, seeds: seeds, package)])
        guard case .clean(let sound) = clean[0] else {
            tell("without any mutant active the copy is found to be wrong: \(clean[0])")
            throw ExitCode(1)
        }
        tell("Without a mutant: nothing found in \(sound) seeds.\n")
        tell("| Mutant | Mistake | Found by | Seeds | Simulated |\n| --- | --- | --- | --- | --- |")
        let chosen = Mutant.all.indices.filter { only.isEmpty || only.contains(Mutant.all[$0].name) }
        var missed: [String] = []
        for start in stride(from: 0, to: chosen.count, by: jobs) {
            let batch = Array(chosen[start..<min(start + jobs, chosen.count)])
            let verdicts = try finish(
                try batch.map { number in
                    let mutant = Mutant.all[number]
                    return try begin(
                        number, name: mutant.name, faults: mutant.faults, from: first, seeds: seeds, package)
                })
            for (number, verdict) in zip(batch, verdicts) {
                let mutant = Mutant.all[number]
                switch verdict {
                case .caught(_, let seeds, _) where try !isClean(first + UInt64(seeds) - 1, mutant, package):
                    missed.append(mutant.name)
                    tell("| \(mutant.name) | \(mutant.title) | **also found without it** | \(seeds) | |")
                case .caught(let rule, let seeds, let milliseconds):
                    tell("| \(mutant.name) | \(mutant.title) | \(rule) | \(seeds) | \(milliseconds / 1_000) s |")
                case .clean(let seeds):
                    missed.append(mutant.name)
                    tell("| \(mutant.name) | \(mutant.title) | **not found** | \(seeds) | |")
                case .broken(let reason):
                    missed.append(mutant.name)
                    tell("| \(mutant.name) | \(mutant.title) | **does not run: \(reason)** | | |")
                }
            }
        }
        tell(
            "\n\(chosen.count - missed.count) of \(chosen.count) mutants found\(missed.isEmpty ? "" : ", not: \(missed)")"
        )
        if !missed.isEmpty { throw ExitCode(1) }
    }

    /// Whether nothing is found with this seed, and the faults that the mutant needs, when no mutant is active.
    private func isClean(_ seed: UInt64, _ mutant: Mutant, _ package: MutatedPackage) throws -> Bool {
        let run = try begin(nil, name: mutant.name + "-without", faults: mutant.faults, from: seed, seeds: 1, package)
        guard case .clean = try finish([run])[0] else { return false }
        return true
    }

    private func begin(
        _ mutant: Int?, name: String, faults: FaultKinds, from firstSeed: UInt64, seeds: UInt64,
        _ package: MutatedPackage
    ) throws -> MutantRun {
        try MutantRun(
            program: package.program, folder: package.runs, mutant: mutant, name: name, faults: faults,
            firstSeed: firstSeed, seeds: seeds, limit: .seconds(self.seconds))
    }

    /// Waits for all of them.
    private func finish(_ runs: [MutantRun]) throws -> [MutantRun.Verdict] {
        var verdicts: [MutantRun.Verdict] = []
        for var run in runs {
            while true {
                if let verdict = try run.verdict() {
                    verdicts.append(verdict)
                    break
                }
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
        return verdicts
    }
}
