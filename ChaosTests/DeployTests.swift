import Foundation
import Testing

/// The page about deploying, and the files that it installs.
@Suite("Deploying", .serialized, .enabled(if: FileManager.default.fileExists(atPath: "/proc/self")))
struct DeployTests {
    @Test("the page is followed up to a cluster that is well", .timeLimit(.minutes(2)))
    func page() async throws {
        try await ScriptedCluster.with { scripts in
            #expect(try scripts.run("cluster/up && mkdir bin units").status == 0)
            let here = ["/etc/metad.yaml": "metad.yaml", "/var/lib/metad": "data", "/etc/systemd/system": "units"]
            var page = try OperationsPage("docs/operations/deploy.md")
            for _ in 1...2 { try page.skip("swift build", because: "it is built") }
            try scripts.run(page: page.next("install"))
            #expect(try scripts.run("bin/metad --help && bin/metactl --help").status == 0)
            try page.skip("useradd", because: "it would change the machine")
            for _ in 1...3 { try scripts.run(page: page.next("install"), replacing: here) }
            #expect(scripts.text("units/metad.service").contains("[Service]"))
            #expect(try scripts.run(page: page.next("metad check-config"), replacing: here).contains("ok: node 1"))
            try scripts.run("sed -i 's#/var/lib/metad#data#' metad.yaml")
            #expect(try scripts.run(page: page.next("runuser"), replacing: here).contains("formatted"))
            #expect(scripts.text("data/identity").contains("cluster production"))
            for _ in 1...2 { try page.skip("systemctl", because: "there is no systemd in a container") }
            try await scripts.wait(for: "three healthy nodes") {
                try scripts.run("metactl status").output.matches(of: #/ yes\n/#).count == 3
            }
            #expect(try scripts.run(page: page.next("metactl status")).matches(of: #/ yes\n/#).count == 3)
            try page.skip("docker", because: "there is no Docker in a container")
            for _ in 1...9 { try page.skip("kubectl", because: "there is no Kubernetes here") }
            page.end()
        }
    }

    @Test("nodes need no privileges, which the unit and the image take away", .timeLimit(.minutes(2)))
    func privileges() async throws {
        try await ScriptedCluster.with { scripts in
            // Whoever is not root has none to give up.
            let without = getuid() == 0 ? "setpriv --inh-caps=-all --bounding-set=-all " : ""
            #expect(try scripts.run("\(without)cluster/up").status == 0)
            if getuid() == 0 {
                let has = try scripts.run("grep CapEff: /proc/\(try scripts.process(of: 1))/status").output
                #expect(has.contains(#/\t0+\n/#))
            }
            #expect(try scripts.run("metactl status").output.matches(of: #/ yes\n/#).count == 3)
        }
    }

    @Test("systemd accepts the unit, and it waits longer for the end than the node takes", .timeLimit(.minutes(1)))
    func unit() async throws {
        try await ScriptedCluster.with { scripts in
            let unit = scripts.text("cluster/deploy/metad.service")
            #expect(unit.contains("ExecStart=/usr/local/bin/metad run --config /etc/metad.yaml\n"))
            #expect(unit.contains("RestartPreventExitStatus=64 78\n"))
            let shutdown = try #require(scripts.text("cluster/node1.yaml").firstMatch(of: /shutdown: (\d+)s/)?.1)
            let patience = try #require(unit.firstMatch(of: /TimeoutStopSec=(\d+)\n/)?.1)
            #expect(try #require(Int(patience)) > (try #require(Int(shutdown))))
            guard try scripts.run("command -v systemd-analyze").status == 0 else { return }
            try scripts.run(
                "sed 's#/usr/local/bin#\(LocalCluster.binaries.path)#' cluster/deploy/metad.service >metad.service")
            let (status, output) = try scripts.run("systemd-analyze verify --man=no ./metad.service")
            #expect(status == 0, "\(output)")
        }
    }

    @Test(
        "the manifests are YAML whose settings a node accepts, and the probes ask for pages there are",
        .timeLimit(.minutes(1)))
    func kubernetes() async throws {
        try await ScriptedCluster.with { scripts in
            guard try scripts.run("python3 -c 'import yaml'").status == 0 else {
                print("the manifests are not parsed: python3 has no yaml")
                return
            }
            let source = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)"
            let json = try scripts.run("python3 -c '\(source)' <cluster/deploy/kubernetes.yaml").output
            let objects = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]])
            func object(_ kind: String, _ name: String) throws -> [String: Any] {
                try #require(
                    objects.first { $0["kind"] as? String == kind && value($0, "metadata", "name") as? String == name })
            }
            for kind in ["Namespace", "ConfigMap", "Service", "PodDisruptionBudget", "NetworkPolicy", "StatefulSet"] {
                #expect(objects.contains { $0["kind"] as? String == kind })
            }
            let set = try object("StatefulSet", "metad")
            _ = try object("Service", try #require(value(set, "spec", "serviceName") as? String))
            let pod = try #require(value(set, "spec", "template", "spec") as? [String: Any])
            let container = try #require((pod["containers"] as? [[String: Any]])?.first)
            let listed = container["ports"] as? [[String: Any]] ?? []
            let ports = Dictionary(
                uniqueKeysWithValues: listed.map { ("\($0["name"] ?? "")", $0["containerPort"] as? Int) })
            #expect(ports == ["client": 7_400, "peer": 7_500, "health": 8_080, "metrics": 9_090])
            #expect(scripts.text("cluster/deploy/Dockerfile").contains("EXPOSE 7400 7500 8080 9090\n"))
            #expect(try #require(pod["terminationGracePeriodSeconds"] as? Int) > 15)

            let settings = try #require(value(try object("ConfigMap", "metad"), "data", "metad.yaml") as? String)
            try settings.write(to: scripts.root.appendingPathComponent("k.yaml"), atomically: true, encoding: .utf8)
            #expect(try scripts.run("cluster/up").status == 0)
            let probes = ["startupProbe": "live", "livenessProbe": "live", "readinessProbe": "ready"]
            for (probe, page) in probes {
                let get = try #require(value(container, probe, "httpGet") as? [String: Any])
                #expect(get["path"] as? String == "/health/\(page)" && get["port"] as? String == "health")
                let url = "127.0.0.1:\(scripts.port(8_081))/health/\(page)"
                #expect(
                    try scripts.run("source cluster/lib/common.sh; http_status \(scripts.port(8_081)) /health/\(page)")
                        .output == "200\n", "\(url)")
            }
            for id in 1...3 {
                let name = "metad-\(id).metad-nodes.streambus.svc"
                let variables = [
                    "METAD_NODE_ID": "\(id)", "METAD_NODE_DATA_DIR": "pods/\(id)",
                    "METAD_NODE_ADVERTISED_CLIENT_ADDRESS": "\(name):7400",
                    "METAD_NODE_ADVERTISED_PEER_ADDRESS": "\(name):7500",
                ]
                let said = try scripts.run("metad check-config --config k.yaml", environment: variables)
                #expect(said.status == 0 && said.output.contains("clients find it at \(name):7400"), "\(said.output)")
                let script = try #require(
                    ((pod["initContainers"] as? [[String: Any]])?.first?["args"] as? [String])?.first
                )
                .replacing("/etc/metad/metad.yaml", with: "k.yaml")
                for (leave, status) in [("no", 78), ("first", 0), ("no", 0)] {
                    let all = variables.merging(["FORMAT": leave]) { $1 }
                    #expect(try scripts.run("(\(script))", environment: all).status == 0)
                    // Formatted or not: that is what a node would find.
                    let found = try scripts.run("metad run --config k.yaml --set cluster.id=another", environment: all)
                    #expect(
                        found.status == 78 && found.output.contains("not formatted") == (status == 78),
                        "\(found.output)")
                }
            }
        }
    }

    private func value(_ object: [String: Any], _ path: String...) -> Any? {
        path.reduce(object as Any?) { ($0 as? [String: Any])?[$1] }
    }
}
