import Foundation
import Simulation

/// A process that runs seeds, seen from the one that started it.
final class Worker {
    /// The rule that a program which ended by itself has broken.
    static let crash = "the program ended"

    private let process = Process()
    private let output: URL
    private let errors: URL
    private var handle: FileHandle?
    private var rest = ""
    private var isStopped = false

    private(set) var runs = 0
    /// Of a core.
    private(set) var computedSeconds = 0.0
    private(set) var report = SimulationReport(seed: 0)
    private(set) var findings: [WorkFinding] = []
    /// The seed that runs now or ran last.
    private(set) var seed: UInt64

    init(seeds: SeedRange, options: SimulationOptions, trace: String? = nil, seconds: Double? = nil) throws {
        seed = seeds.first
        let folder = FileManager.default.temporaryDirectory
        let name = "simulate-\(ProcessInfo.processInfo.processIdentifier)-\(UInt64.random(in: 0 ..< .max))"
        output = folder.appending(path: name + ".out")
        errors = folder.appending(path: name + ".err")
        for file in [output, errors] { try Data().write(to: file) }
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments =
            ["work", "--seeds", seeds.description] + options.arguments
            + (trace.map { ["--trace", $0] } ?? []) + (seconds.map { ["--seconds", "\($0)"] } ?? [])
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        handle = try FileHandle(forReadingFrom: output)
    }

    var isRunning: Bool { process.isRunning }

    /// Enough is known.
    func stop() {
        isStopped = true
        process.terminate()
    }

    /// Takes in what it said since the last call.
    func listen() throws {
        guard let data = try handle?.readToEnd(), !data.isEmpty else { return }
        rest += String(decoding: data, as: UTF8.self)
        var lines = rest.split(separator: "\n", omittingEmptySubsequences: false)
        rest = String(lines.removeLast())
        for line in lines {
            switch WorkLine(line) {
            case .begins(let seed)?: self.seed = seed
            case .finds(let finding)?: findings.append(finding)
            case .did(let runs, let report, let computed)?:
                self.runs += runs
                computedSeconds += computed
                self.report.add(report)
            case nil: continue
            }
        }
    }

    /// Waits for its end. A program that ended by itself is a finding too.
    func finish() throws {
        process.waitUntilExit()
        try listen()
        if !isStopped, process.terminationReason == .uncaughtSignal || process.terminationStatus != 0 {
            let text = try String(contentsOf: errors, encoding: .utf8)
            let reason = text.split(separator: "\n").first { $0.contains("Fatal error") || $0.contains("rror:") }
            findings.append(
                WorkFinding(
                    seed: seed, rule: Worker.crash,
                    detail: reason.map(String.init) ?? "with status \(process.terminationStatus)",
                    milliseconds: .max, struck: FaultKind.allCases.map(\.name)))
        }
        try handle?.close()
        handle = nil
        for file in [output, errors] { try FileManager.default.removeItem(at: file) }
    }
}
