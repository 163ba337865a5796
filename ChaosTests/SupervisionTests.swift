import Foundation
import Testing

/// The scripts of `cluster/`: what they start stays up, says so when it does not, and goes when it is told to.
@Suite(
    "Supervision of the local cluster", .serialized, .enabled(if: FileManager.default.fileExists(atPath: "/proc/self")))
struct SupervisionTests {
    @Test(
        "a node that dies is started again, but not without end, and its neighbours are left alone",
        .timeLimit(.minutes(2)))
    func restarts() async throws {
        let limits = ["CLUSTER_RESTARTS_MAX": "2", "CLUSTER_PAUSE_SECONDS": "3"]
        try await ScriptedCluster.with(environment: limits) { scripts in
            let up = try scripts.run("cluster/up")
            #expect(up.status == 0, "\(up.output)")
            for _ in 1...2 {
                let number = try scripts.process(of: 1)
                #expect(try scripts.run("kill -9 \(number)").status == 0)
                try await scripts.wait(for: "node 1 to be back") {
                    try scripts.process(of: 1) != number && scripts.state(of: 1) == "ready"
                }
            }
            #expect(try scripts.run("cluster/status").status == 0)
            let number = try scripts.process(of: 1)
            #expect(try scripts.run("kill -9 \(number)").status == 0)
            try await scripts.wait(for: "the pause") { !scripts.text("cluster/run/node1.trouble").isEmpty }
            let status = try scripts.run("cluster/status")
            #expect(status.status == 1)
            #expect(status.output.contains("!!! node1: ended with status 137 after 2 restarts in 300 s"))
            #expect(status.output.contains("docs/operations/troubleshoot.md"))
            #expect(status.output.contains(#/\n1 +- +waiting /#))
            try await scripts.wait(for: "the end of the pause") { try scripts.state(of: 1) == "ready" }
            #expect(!scripts.text("cluster/run/node1.trouble").contains("!!!"))
            let log = scripts.text("cluster/run/supervisor.log")
            #expect(log.matches(of: /node1: started as/).count == 4)
            #expect(log.matches(of: /node[23]: started as/).count == 2)
            #expect(try scripts.run("cluster/down").status == 0)
            #expect(try scripts.processes() == [])
        }
    }

    @Test(
        "without other limits there are five restarts in five minutes, and then a minute's pause",
        .timeLimit(.minutes(1)))
    func limits() async throws {
        try await ScriptedCluster.with { scripts in
            try FileManager.default.createDirectory(
                at: scripts.root.appendingPathComponent("cluster/run"), withIntermediateDirectories: true)
            let output = scripts.root.appendingPathComponent("output")
            let supervisor = try scripts.start("exec cluster/lib/supervise node1 bash -c 'exit 70'", output: output)
            try await scripts.wait(for: "the pause") { !scripts.text("cluster/run/node1.trouble").isEmpty }
            let trouble = scripts.text("cluster/run/node1.trouble")
            #expect(trouble.contains("ended with status 70 after 5 restarts in 300 s; it is left alone for 60 s"))
            #expect(scripts.text("cluster/run/supervisor.log").matches(of: /started as/).count == 6)
            supervisor.send(SIGTERM)
            supervisor.wait()
            #expect(try scripts.processes() == [], "the pause ends with whoever pauses")
        }
    }

    @Test("a node whose settings are wrong is not started again, and is when they are right", .timeLimit(.minutes(2)))
    func wrongSettings() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up").status == 0)
            #expect(try scripts.run("sed -i 's/tick: 20ms/tick: 20/' cluster/node2.yaml").status == 0)
            #expect(try scripts.run("kill -9 \(scripts.process(of: 2))").status == 0)
            try await scripts.wait(for: "node 2 to be given up") { try scripts.state(of: 2) == "failed" }
            let status = try scripts.run("cluster/status")
            #expect(status.status == 1)
            #expect(
                status.output.contains("!!! node2: ended with status 78: its settings or its data directory are wrong"))
            #expect(
                try scripts.run("cluster/logs 2").output.contains("raft.tick = 20: must be a whole number with a unit"))
            #expect(scripts.text("cluster/run/supervisor.log").matches(of: /node2: started as/).count == 2)
            #expect(try scripts.run("cluster/node 2 start").status != 0)
            #expect(try scripts.run("sed -i 's/tick: 20 /tick: 20ms /' cluster/node2.yaml").status == 0)
            #expect(try scripts.run("cluster/node 2 start").status == 0)
            try await scripts.wait(for: "node 2 to be back") { try scripts.state(of: 2) == "ready" }
            #expect(try scripts.run("cluster/down --wipe").status == 0)
            #expect(try scripts.processes() == [])
        }
    }

    @Test("one node is stopped, killed and started by hand, and stays as it was left", .timeLimit(.minutes(2)))
    func byHand() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up").status == 0)
            for order in ["stop", "kill"] {
                #expect(try scripts.run("cluster/node 3 \(order)").status == 0)
                // Longer than the wait before a restart.
                try await Task.sleep(for: .seconds(2))
                #expect(try scripts.state(of: 3) == "stopped")
                #expect(try scripts.run("cluster/node 3 start").status == 0)
                try await scripts.wait(for: "node 3 to be back") { try scripts.state(of: 3) == "ready" }
            }
            let again = try scripts.run("cluster/node 3 start")
            #expect(again.status == 0 && again.output.contains("runs already"))
            let number = try scripts.process(of: 3)
            #expect(try scripts.run("cluster/node 3 restart").status == 0)
            try await scripts.wait(for: "node 3 to be back") { try scripts.state(of: 3) == "ready" }
            #expect(try scripts.process(of: 3) != number)
            #expect(try scripts.run("cluster/down").status == 0)
            #expect(try scripts.processes() == [])
        }
    }

    @Test("in the foreground Ctrl-C ends everything", .timeLimit(.minutes(1)))
    func foreground() async throws {
        try await ScriptedCluster.with { scripts in
            let output = scripts.root.appendingPathComponent("output")
            let up = try scripts.start("exec cluster/up --foreground", output: output)
            try await scripts.wait(for: "the cluster") { scripts.text("output").contains("Ctrl-C") }
            let number = try scripts.process(of: 2)
            #expect(try scripts.run("kill -9 \(number)").status == 0)
            try await scripts.wait(for: "a word about it") {
                scripts.text("output").contains("node2: ended with status 137; it is started again")
            }
            up.send(SIGINT)
            #expect(up.wait() == 0)
            #expect(scripts.text("output").contains("The cluster is stopped."))
            #expect(try scripts.processes() == [])
        }
    }
}
