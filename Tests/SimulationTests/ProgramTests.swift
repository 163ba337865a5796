import Foundation
import Testing

/// Runs the program itself.
@Suite("The program simulate")
struct ProgramTests {
    /// It stands beside the tests.
    private static let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        .appending(path: "simulate")

    private func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = ProgramTests.program
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    @Test("one seed gives one trace, byte for byte, in two processes")
    func traces() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "simulate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
        for (nodes, store) in [("3", "memory"), ("5", "memory"), ("3", "sqlite")] {
            let files = ["first", "second"].map { folder.appending(path: "\($0)-\(nodes)-\(store)") }
            for file in files {
                let run = try run(
                    ["run", "--seeds", "11", "--nodes", nodes, "--store", store, "--trace", file.path])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.hasPrefix("1 runs, 19 simulated seconds"))
            }
            let traces = try files.map { try Data(contentsOf: $0) }
            #expect(traces[0].count > 1_000)
            #expect(traces[0] == traces[1])
        }
    }

    @Test("what it does not understand it says, and runs nothing")
    func arguments() throws {
        for arguments in [
            ["--seeds", "9..1"], ["--seeds", "x"], ["--seeds", "1", "--nodes", "10"],
            ["--seeds", "1", "--faults", "kill,nothing"], ["--seeds", "1", "--store", "paper"],
            ["--seeds", "1..2", "--trace", "/tmp/x"], ["--seeds", "1", "--milliseconds", "0"],
        ] {
            let run = try run(["run"] + arguments)
            #expect(run.status == 64, "\(arguments): \(run.output)")
        }
    }
}
