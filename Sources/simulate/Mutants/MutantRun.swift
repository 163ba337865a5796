import Foundation
import Simulation

/// One mutant under the simulator, in a process of its own: it may crash or hang.
struct MutantRun {
    enum Verdict {
        /// Nothing was found with so many seeds: all of them, or those that there was time for.
        case clean(seeds: Int)
        /// A checker, a broken precondition, or a seed that does not end; after how many seeds and simulated milliseconds.
        case caught(by: String, seeds: Int, milliseconds: UInt64)
        /// It never got to run a seed.
        case broken(String)
    }

    private let process = Process()
    private let output: URL
    private let errors: URL
    private let deadline: ContinuousClock.Instant
    private let firstSeed: UInt64
    /// What it has told, and when it told the last of it.
    private var told = (lines: 0, at: ContinuousClock.now)

    /// A seed that takes longer than this does not end. It takes about a second.
    private static let seedMax = Duration.seconds(120)

    /// Starts `program` over a number of seeds with the mutant of this number active; nil runs it with none.
    init(
        program: URL, folder: URL, mutant: Int?, name: String, faults: FaultKinds, firstSeed: UInt64, seeds: UInt64,
        limit: Duration
    ) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        output = folder.appending(path: name + ".out")
        errors = folder.appending(path: name + ".err")
        self.firstSeed = firstSeed
        for file in [output, errors] { try Data().write(to: file) }
        process.executableURL = program
        process.arguments = ["probe", "--seeds", "\(firstSeed)..\(firstSeed + seeds - 1)", "--always", "\(faults)"]
        var environment = ProcessInfo.processInfo.environment
        environment[MutatedFile.variable] = mutant.map { "\($0)" }
        // A crash is expected here, and telling its story takes longer than many seeds.
        environment["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = environment
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        deadline = .now + limit
        try process.run()
    }

    /// Nil while it runs. Ends it when its time is over.
    mutating func verdict() throws -> Verdict? {
        var (isOverdue, hangs) = (false, false)
        if process.isRunning {
            let lines = try reports().count
            let now = ContinuousClock.now
            if lines > told.lines { told = (lines, now) }
            hangs = now - told.at > MutantRun.seedMax
            isOverdue = now > deadline
            guard hangs || isOverdue else { return nil }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let reports = try reports()
        var seeds = 0
        var milliseconds: UInt64 = 0
        for report in reports {
            switch report {
            case .begins: seeds += 1
            case .clean(let simulated): milliseconds += simulated
            case .finding(let rule, let simulated):
                return .caught(by: rule, seeds: seeds, milliseconds: milliseconds + simulated)
            case .end: return .clean(seeds: seeds)
            }
        }
        guard seeds > 0 else { return .broken(try firstError()) }
        if isOverdue { return .clean(seeds: seeds) }
        if hangs { return .caught(by: "does not end", seeds: seeds, milliseconds: milliseconds) }
        return .caught(by: "crash: " + (try firstError()), seeds: seeds, milliseconds: milliseconds)
    }

    private func reports() throws -> [ProbeLine] {
        try String(contentsOf: output, encoding: .utf8).split(separator: "\n").compactMap { ProbeLine(String($0)) }
    }

    private func firstError() throws -> String {
        let text = try String(contentsOf: errors, encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.contains("Fatal error: ") || $0.contains("rror: ") }
        guard let line else { return "status \(process.terminationStatus)" }
        return String(line.split(separator: "rror: ", maxSplits: 1).last ?? line)
    }
}

/// What `simulate probe` tells of each seed, line by line.
enum ProbeLine: CustomStringConvertible {
    case begins(seed: UInt64)
    case clean(milliseconds: UInt64)
    case finding(rule: String, milliseconds: UInt64)
    case end

    init?(_ line: String) {
        let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
        switch (parts.first, parts.count) {
        case ("begins", 2):
            guard let seed = UInt64(parts[1]) else { return nil }
            self = .begins(seed: seed)
        case ("clean", 2):
            guard let milliseconds = UInt64(parts[1]) else { return nil }
            self = .clean(milliseconds: milliseconds)
        case ("finding", 3):
            guard let milliseconds = UInt64(parts[1]) else { return nil }
            self = .finding(rule: String(parts[2]), milliseconds: milliseconds)
        case ("end", 1):
            self = .end
        default:
            return nil
        }
    }

    var description: String {
        switch self {
        case .begins(let seed): "begins\t\(seed)"
        case .clean(let milliseconds): "clean\t\(milliseconds)"
        case .finding(let rule, let milliseconds): "finding\t\(milliseconds)\t\(rule)"
        case .end: "end"
        }
    }
}
