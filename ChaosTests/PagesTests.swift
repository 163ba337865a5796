import Foundation
import Testing

/// The pages about operation, followed word by word on a real cluster: every command in their blocks of shell, in its place.
@Suite("Pages about operation", .serialized, .enabled(if: FileManager.default.fileExists(atPath: "/proc/self")))
struct PagesTests {
    @Test("the first page: start, lose the leader, bring it back, measure, stop", .timeLimit(.minutes(3)))
    func readme() async throws {
        try await ScriptedCluster.with { scripts in
            var page = try OperationsPage("README.md")
            #expect(try scripts.run(page: page.next("cluster/up")).contains("Three nodes run"))
            try page.skip("cluster/test", because: "this is a part of it")
            #expect(
                try scripts.run(page: page.next("cluster/up --demo")).contains(#"the topic "demo" has 6 partitions"#))
            let watched = scripts.root.appendingPathComponent("watched")
            let watch = try scripts.start("exec " + page.next(".build/release/metactl watch"), output: watched)
            let leader = try await waitForLeader(scripts)
            let own = ["node 1 ": "node \(leader) "]
            try scripts.run(page: page.next("cluster/node 1 kill"), replacing: own)
            // It ends with 1, since a node is away.
            _ = try scripts.run(page.next("cluster/status"))
            let successor = try await waitForLeader(scripts, other: leader)
            #expect(successor != leader)
            try scripts.run(page: page.next("cluster/node 1 start"), replacing: own)
            try await waitUntilWell(scripts)
            try scripts.run(page: page.next("cluster/status"))
            let bench = try scripts.run(page: page.next(".build/release/metactl bench failover") + " --rounds 1")
            #expect(bench.contains("failed writes: 0"))
            #expect(scripts.text("watched").contains("config_removed"), "the watch did not go on")
            watch.send(SIGTERM)
            watch.wait()
            try scripts.run(page: page.next("cluster/down"))
            #expect(try scripts.processes() == [])
            try scripts.run(page: page.next("cluster/down --wipe"))
            #expect(!FileManager.default.fileExists(atPath: scripts.root.appendingPathComponent("cluster/data").path))
            page.end()
        }
    }

    @Test("back up, lose a majority for good, recover, add two nodes", .timeLimit(.minutes(4)))
    func backupAndRecovery() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up --demo").status == 0)
            try await waitUntilWell(scripts)
            var backup = try OperationsPage("docs/operations/backup.md")
            for beginning in ["mkdir", "metactl topics", "metactl configs", "metactl brokers", "for name"] {
                try scripts.run(page: backup.next(beginning))
            }
            for name in ["topics", "configs", "brokers", "topic-demo"] {
                let data = Data(scripts.text("backup/\(name).json").utf8)
                #expect(try JSONSerialization.jsonObject(with: data) is [String: Any], "\(name)")
            }
            #expect(scripts.text("backup/topic-demo.json").contains("leader_epoch"))
            try scripts.run("mkdir backups")
            for beginning in ["systemctl stop", "cp", "systemctl start"] {
                try scripts.run(page: backup.next(beginning))
            }
            #expect(
                try scripts.run(page: backup.next("metactl recover")).contains(
                    "it holds 1 topics, 6 partitions, 3 brokers"))
            backup.end()
            try await waitUntilWell(scripts)

            try scripts.run("cluster/node 1 kill; cluster/node 2 kill; rm -rf cluster/data/node[12] backups/metad")
            var recover = try OperationsPage("docs/operations/recover.md")
            try scripts.run(page: recover.next("systemctl stop"))
            #expect(try scripts.run(page: recover.next("metactl recover")).contains("nothing was changed"))
            try scripts.run(page: recover.next("cp"))
            #expect(try scripts.run(page: recover.next("metactl recover")).contains("only voter of cluster local-2"))
            // What the page says in words.
            let settings = "sed -i -E 's/id: \"local\"/id: \"local-2\"/; /^ +- \"[123]=/d; s/initial_members:/& []/'"
            try scripts.run(settings + " cluster/node?.yaml")
            #expect(try scripts.run(page: recover.next("metad check-config")).contains("cluster local-2"))
            try scripts.run(page: recover.next("systemctl start"))
            #expect(try await waitForLeader(scripts) == 3)
            // It ends with 0 when there is a leader, however many do not answer.
            #expect(try scripts.run(page: recover.next("metactl status")).contains("CLUSTER local-2   LEADER node 3"))
            let each = try ["metad format", "systemctl start", "metactl members add"].map { try recover.next($0) }
            recover.end()
            for node in [1, 2] {
                for command in each.dropLast() { try scripts.run(page: command, on: node) }
                try await waitUntilUp(scripts, node)
                try scripts.run(page: each[2] + " --timeout 60s", replacing: ["10.0.0.2": "10.0.0.\(node)"])
            }
            try await waitUntilWell(scripts)
            // Any one may fail again, also the survivor.
            try scripts.run("cluster/node 3 kill")
            #expect(try await waitForLeader(scripts, other: 3) != 3)
            #expect(try scripts.run("metactl topics list").output.contains("demo"))
        }
    }

    @Test("members come, go, are replaced and move", .timeLimit(.minutes(4)))
    func members() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up").status == 0)
            try await waitUntilWell(scripts)
            var page = try OperationsPage("docs/operations/members.md")
            // For machines that do much else.
            let patience = " --timeout 60s"
            func voters() throws -> String {
                try scripts.run("metactl members list | awk '/voter/ { printf $1 }'").output
            }
            // Node 4 has its own settings, as the page says, and no first members.
            let joining = "sed -E '/^ +- \"[123]=/d; s/initial_members:/& []/'"
            let four = "sed 's/node1/node4/; s/id: 1 /id: 4 /; s/\(scripts.port(7_401))/\(scripts.port(7_404))/; "
            try scripts.run(
                "\(joining) cluster/node1.yaml | \(four)s/\(scripts.port(7_501))/\(scripts.port(7_504))/; "
                    + "s/\(scripts.port(8_081))/\(scripts.port(8_084))/; s/\(scripts.port(9_091))/\(scripts.port(9_094))/' "
                    + ">cluster/node4.yaml")
            let log = scripts.root.appendingPathComponent("node4.log")
            let (format, begin) = try (page.next("metad format"), page.next("systemctl start"))
            #expect(begin == "systemctl start metad")
            try scripts.run(page: format, on: 4)
            var fourth = try scripts.start("exec metad run --config cluster/node4.yaml", output: log)
            try await scripts.wait(for: "node 4 to listen") { scripts.text("node4.log").contains("node is up") }
            try scripts.run(page: page.next("metactl members add") + patience)
            #expect(try voters() == "1234")
            try scripts.run(page: page.next("metactl members remove") + patience)
            #expect(try voters() == "123")
            fourth.send(SIGTERM)
            #expect(fourth.wait() == 0)

            // The disk of node 3 is lost.
            try scripts.run(
                "cluster/node 3 stop; rm -rf cluster/data/node3 cluster/data/node4; \(joining) -i cluster/node3.yaml")
            try scripts.run(page: format, on: 3)
            try scripts.run(page: begin, on: 3)
            try await waitUntilUp(scripts, 3)
            try scripts.run(page: page.next("metactl members replace 3 10.0.0.3") + patience)
            #expect(try voters() == "123")
            try await waitUntilWell(scripts)

            // The machine of node 3 is lost, and another node takes its place.
            try scripts.run(page: format, on: 4)
            try scripts.run("rm node4.log")
            fourth = try scripts.start("exec metad run --config cluster/node4.yaml", output: log)
            try await scripts.wait(for: "node 4 to listen") { scripts.text("node4.log").contains("node is up") }
            try scripts.run("cluster/node 3 kill")
            try scripts.run(page: page.next("metactl members replace 3 10.0.0.4") + patience)
            #expect(try voters() == "124")

            // Node 2 gets another address.
            try scripts.run("cluster/node 2 stop")
            try scripts.run(
                "sed -i 's/\(scripts.port(7_402))/\(scripts.port(7_405))/; s/\(scripts.port(7_502))/\(scripts.port(7_505))/' "
                    + "cluster/node2.yaml; cluster/node 2 start")
            let moved = ["10.0.1.3:7400": "127.0.0.1:\(scripts.port(7_405))"]
            try await scripts.wait(for: "node 2 to listen") { try scripts.state(of: 2) == "ready" }
            try scripts.run(page: page.next("metactl members add") + patience, replacing: moved)
            #expect(try scripts.run("metactl members list").output.contains("127.0.0.1:\(scripts.port(7_405))"))
            #expect(try voters() == "124")
            page.end()
            fourth.send(SIGTERM)
            fourth.wait()
        }
    }

    @Test("every day's look, a restart, an upgrade", .timeLimit(.minutes(3)))
    func maintenance() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up --demo").status == 0)
            try await waitUntilWell(scripts)
            var page = try OperationsPage("docs/operations/maintenance.md")
            #expect(try scripts.run(page: page.next("metactl status")).matches(of: #/ yes\n/#).count == 3)
            #expect(try scripts.run(page: page.next("metactl brokers list")).matches(of: #/ active /#).count == 3)
            for list in ["--offline", "--under-replicated"] {
                let output = try scripts.run(page: page.next("metactl partitions list \(list)"))
                #expect(output.split(separator: "\n").count == 1, "no partition below the heads of the columns")
            }
            #expect(try scripts.run(page: page.next("metactl rebalance status")).contains("COORDINATOR idle"))
            for follower in [3, 1] {
                let number = try scripts.process(of: follower)
                try scripts.run(page: page.next("systemctl restart"), on: follower)
                #expect(try scripts.process(of: follower) != number)
                try await waitUntilWell(scripts)
                if follower == 3 {
                    try scripts.run(page: page.next("metactl status"))
                    #expect(
                        try scripts.run(page: page.next("metactl members transfer-leadership")).contains("node 2 leads")
                    )
                    try scripts.run(page: page.next("metad check-config"), on: 1)
                }
            }
            try page.skip("journalctl", because: "there is no systemd in a container")
            page.end()

            var upgrade = try OperationsPage("docs/operations/upgrade.md")
            try scripts.run(page: upgrade.next("metactl status"))
            try scripts.run(page: upgrade.next("metactl members list"))
            try scripts.run("mkdir bin")
            try scripts.run(page: upgrade.next("install"))
            #expect(try scripts.run("bin/metactl --version || bin/metactl help").status == 0)
            try scripts.run(page: upgrade.next("systemctl restart"), on: 2)
            try await waitUntilWell(scripts)
            #expect(try scripts.run(page: upgrade.next("metactl feature-level")).contains("FEATURE-LEVEL"))
            upgrade.end()
        }
    }

    @Test("the formula of capacity holds, and its measurements run", .timeLimit(.minutes(4)))
    func capacity() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up --demo").status == 0)
            try await waitUntilWell(scripts)
            func resident() throws -> Int {
                let line = try scripts.run("grep VmRSS /proc/\(scripts.process(of: 1))/status").output
                return Int(line.filter(\.isNumber)) ?? 0
            }
            let create = "metactl topics create large --partitions 10000 --replication-factor 3 --timeout 60s"
            #expect(try scripts.run(create).status == 0)
            try await waitUntilWell(scripts)
            // The node looks at its files every five seconds; here the files themselves are looked at.
            let files = try scripts.run("stat -c %s cluster/data/node1/metadata.sqlite").output
            _ = try scripts.run("cluster/node 1 restart")
            try await waitUntilWell(scripts)
            let database =
                try Int(scripts.run("stat -c %s cluster/data/node1/metadata.sqlite").output.filter(\.isNumber)) ?? 0
            #expect((1_000_000...1_000_000 + 250 * 10_006).contains(database), "\(files)")
            #expect(try resident() < 80_000 + 7_000 + 32_768 + 65_536, "KiB")

            var page = try OperationsPage("docs/operations/capacity.md")
            for load in ["write", "read"] {
                let command = try page.next("metactl bench \(load)") + " --duration 2s --output json"
                let report = try scripts.run(page: command)
                #expect(report.contains("\"errors\" : 0") || report.contains("\"errors\":0"), "\(report)")
            }
            #expect(
                try scripts.run(page: page.next("metactl bench failover") + " --rounds 1").contains("failed writes: 0"))
            page.end()
        }
    }

    @Test("what the page about security asks of a machine can be asked", .timeLimit(.minutes(1)))
    func security() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up").status == 0)
            var page = try OperationsPage("docs/operations/security.md")
            let command = try page.next("ss ")
            if try scripts.run("command -v ss").status == 0 {
                let listeners = try scripts.run(page: command)
                for port in [7_401, 7_501, 8_081, 9_091] {
                    #expect(
                        listeners.contains("127.0.0.1:\(scripts.port(port)) "), "not on loopback alone: \(listeners)")
                }
            }
            page.end()
        }
    }

    private func waitForLeader(_ scripts: ScriptedCluster, other than: Int = 0) async throws -> Int {
        var leader = 0
        try await scripts.wait(for: "a leader") {
            let status = try scripts.run("metactl status").output
            leader = status.firstMatch(of: /LEADER node (\d)/).flatMap { Int($0.1) } ?? 0
            return leader != 0 && leader != than
        }
        return leader
    }

    /// It answers, whether it is ready or not.
    private func waitUntilUp(_ scripts: ScriptedCluster, _ node: Int) async throws {
        let look = "source cluster/lib/common.sh; http_status \(scripts.port(8_080 + node)) /health/live"
        try await scripts.wait(for: "node \(node) to be up") { try scripts.run(look).output == "200\n" }
    }

    /// Three nodes, all healthy and at the same place.
    private func waitUntilWell(_ scripts: ScriptedCluster) async throws {
        try await scripts.wait(for: "three healthy nodes", within: .seconds(60)) {
            let (status, output) = try scripts.run("metactl status")
            let rows = output.matches(of: /(?m)^\d +(?:leader|follower) .* (\d+) +([0-9a-f]{16}) +yes$/)
            return status == 0 && rows.count == 3 && Set(rows.map { "\($0.1) \($0.2)" }).count == 1
        }
    }
}
