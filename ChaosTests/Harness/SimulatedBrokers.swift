import Foundation
import MetadataClient

/// `metactl simulate-brokers` as a process, with a pipe for its orders.
final class SimulatedBrokers: Sendable {
    private let process = Process()
    private let orders = Pipe()
    private let log: URL

    init(_ arguments: [String], endpoints: [MetadataClient.Endpoint], folder: URL) throws {
        log = folder.appendingPathComponent("brokers.log")
        try Data().write(to: log)
        let output = try FileHandle(forWritingTo: log)
        process.executableURL = LocalCluster.binaries.appendingPathComponent("metactl")
        process.arguments =
            ["simulate-brokers"] + arguments + ["--endpoints", endpoints.map(\.description).joined(separator: ",")]
        process.standardInput = orders
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    /// `kill 3`, `revive all`, and so on.
    func order(_ line: String) throws {
        guard process.isRunning else { throw LocalCluster.HarnessFailure(description: "no brokers: \(tail)") }
        try orders.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Stops all brokers in order, as an operator would; answers the exit status.
    func stop() -> Int32 {
        if process.isRunning { process.interrupt() }
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Whatever state it is in.
    func end() {
        guard process.isRunning else { return }
        _ = kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    var tail: String {
        do {
            return String(try String(contentsOf: log, encoding: .utf8).suffix(2_000))
        } catch {
            return "no log: \(error)"
        }
    }
}
