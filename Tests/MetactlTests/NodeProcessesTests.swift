import Foundation
import Testing

@testable import metactl

@Suite("Node processes")
struct NodeProcessesTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "metactl-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        do {
            try await body(folder)
            try FileManager.default.removeItem(atPath: folder)
        } catch {
            try FileManager.default.removeItem(atPath: folder)
            throw error
        }
    }

    @Test("a process that is not a metad is never killed, whatever the pid file says (ids are used again)")
    func strangers() async throws {
        try await withFolder { folder in
            let processes = NodeProcesses(pidDirectory: folder)
            #expect(throws: CommandFailure.self) { try processes.check(1) }
            for content in ["", "metad", "-1", "0", "1"] {
                try content.write(toFile: folder + "/node1.pid", atomically: false, encoding: .utf8)
                #expect(throws: CommandFailure.self, "\(content)") { try processes.check(1) }
            }
            // This process: alive, ours, and not a node.
            let own = ProcessInfo.processInfo.processIdentifier
            try "\(own)\n".write(toFile: folder + "/node1.pid", atomically: false, encoding: .utf8)
            await #expect(throws: CommandFailure.self) { try await processes.kill(1) }
        }
    }

    @Test("a node is killed by its recorded process id")
    func kill() async throws {
        try await withFolder { folder in
            // A program of that name that sleeps.
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/metad", withDestinationPath: "/bin/sleep")
            let process = Process()
            process.executableURL = URL(fileURLWithPath: folder + "/metad")
            process.arguments = ["60"]
            let ended = AsyncStream<(Process.TerminationReason, Int32)>.makeStream()
            process.terminationHandler = { ended.continuation.yield(($0.terminationReason, $0.terminationStatus)) }
            try process.run()
            try "\(process.processIdentifier)\n".write(
                toFile: folder + "/node2.pid", atomically: false, encoding: .utf8)
            try await NodeProcesses(pidDirectory: folder).kill(2)
            var ends = ended.stream.makeAsyncIterator()
            let end = try #require(await ends.next())
            #expect(end.0 == .uncaughtSignal)
            #expect(end.1 == SIGKILL)
        }
    }

    @Test("commands get the node's id, and their failure is ours")
    func commands() async throws {
        try await withFolder { folder in
            let processes = NodeProcesses(
                pidDirectory: folder, killCommand: "echo {node} > \(folder)/killed-{node}", startCommand: "exit 3")
            try processes.check(7)
            try await processes.kill(7)
            #expect(try String(contentsOfFile: folder + "/killed-7", encoding: .utf8) == "7\n")
            let failure = await #expect(throws: CommandFailure.self) { try await processes.start(7) }
            #expect(failure?.detail == "\"exit 3\" for node 7 ended with status 3")
        }
    }
}
