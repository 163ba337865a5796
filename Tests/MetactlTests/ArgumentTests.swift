import ArgumentParser
import MetadataClient
import MetadataModel
import Testing

@testable import metactl

@Suite("Arguments")
struct ArgumentTests {
    @Test("endpoints are host:port in a row, IPv6 in brackets, and print as they are read")
    func endpoints() throws {
        let text = "127.0.0.1:7401,node-2.local:7402,[::1]:7403"
        let list = try #require(EndpointList(argument: text))
        #expect(
            list.items == [
                .init(host: "127.0.0.1", port: 7401), .init(host: "node-2.local", port: 7402),
                .init(host: "::1", port: 7403),
            ])
        #expect(list.description == text)
        #expect(EndpointList.local.description == "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403")
    }

    @Test("a level of reading is read as it is written, and nothing else is one")
    func readLevels() {
        #expect(ReadLevel(argument: "linearizable")?.level == .linearizable)
        #expect(ReadLevel(argument: "stale")?.level == .stale(maxLagMilliseconds: .max))
        #expect(ReadLevel(argument: "stale:1.5s")?.level == .stale(maxLagMilliseconds: 1_500))
        #expect(ReadLevel(argument: "at-least:17")?.level == .atLeast(Version(17)))
        for text in ["", "Stale", "stale:", "stale:x", "at-least", "at-least:", "at-least:-1", "linearizable:1"] {
            #expect(ReadLevel(argument: text) == nil, "\(text)")
        }
    }

    @Test(
        "a list with one bad endpoint is no list",
        arguments: ["", "host", "host:", ":1", "host:0", "host:65536", "a:1,", "a:1,,b:2", "::1:7401", "a b:1", "a:+1"])
    func badEndpoints(text: String) {
        #expect(EndpointList(argument: text) == nil)
    }

    @Test("endpoints come from the option, else from METACTL_ENDPOINTS, else they are the local cluster")
    func endpointOrder() throws {
        let environment = ["METACTL_ENDPOINTS": "env:1"]
        #expect(
            try options(["--endpoints", "flag:2"]).resolvedEndpoints(environment: environment).description == "flag:2")
        #expect(try options([]).resolvedEndpoints(environment: environment).description == "env:1")
        #expect(try options([]).resolvedEndpoints(environment: [:]) == .local)
        #expect(throws: CommandFailure.usage("METACTL_ENDPOINTS is \"env\", not a list of host:port")) {
            try options([]).resolvedEndpoints(environment: ["METACTL_ENDPOINTS": "env"])
        }
    }

    @Test("durations carry a unit; a number alone is seconds")
    func durations() {
        let expected: [(String, Duration?)] = [
            ("500ms", .milliseconds(500)), ("10s", .seconds(10)), ("2m", .seconds(120)), ("1.5s", .milliseconds(1_500)),
            ("3", .seconds(3)), ("0", nil), ("-1s", nil), ("s", nil), ("1h", nil), ("inf", nil), ("nan", nil),
            ("100000s", nil),
        ]
        for (text, duration) in expected {
            #expect(DurationArgument(argument: text)?.duration == duration, "\(text)")
        }
        #expect(DurationArgument(.seconds(10)).defaultValueDescription == "10s")
        #expect(DurationArgument(.milliseconds(1_500)).defaultValueDescription == "1500ms")
    }

    @Test("a config is cut at its first equals sign; its value may be empty, its name not")
    func configs() {
        #expect(ConfigAssignment(argument: "a=b=c")?.change == ConfigChange(name: "a", value: "b=c"))
        #expect(ConfigAssignment(argument: "a=")?.change == ConfigChange(name: "a", value: ""))
        #expect(ConfigAssignment(argument: "=b") == nil)
        #expect(ConfigAssignment(argument: "a") == nil)
    }

    @Test("an assignment names the replicas of each partition")
    func assignments() {
        #expect(
            AssignmentArgument(argument: "1,2:2,1")?.replicas == [
                [BrokerID(1), BrokerID(2)], [BrokerID(2), BrokerID(1)],
            ])
        for text in ["", "1,", "1::2", "a", "-1"] { #expect(AssignmentArgument(argument: text) == nil, "\(text)") }
    }

    @Test("a topic is meant by name, or by id with the prefix id:")
    func topics() {
        #expect(TopicArgument(argument: "orders")?.reference == .name("orders"))
        #expect(
            TopicArgument(argument: "id:000000000000000a00000000000000ff")?.reference
                == .id(TopicID(high: 10, low: 255)))
        #expect(TopicArgument(argument: "id:12") == nil)
        #expect(TopicArgument(argument: "id:+00000000000000a00000000000000ff") == nil)
    }

    @Test(
        "command lines that contradict themselves are refused before anything is sent",
        arguments: [
            "topics alter orders", "topics alter orders --config a=b --partitions 3 --if-version 7",
            "configs describe --broker 1 --topic orders", "configs alter", "watch --count 0", "brokers describe -1",
            "brokers register --id 1 --host a --port 0", "bench write --keys 65537", "bench write --value-size 0",
            "bench write --clients 0", "bench failover --rounds 0", "log dump somewhere --limit 0",
        ])
    func contradictions(line: String) {
        #expect(throws: (any Error).self) { try Metactl.parseAsRoot(line.split(separator: " ").map(String.init)) }
    }

    @Test(
        "the documented command lines are accepted",
        arguments: [
            "status", "brokers list -o json", "brokers describe 3",
            "brokers register --id 1 --host a --port 9092 --rack r1",
            "brokers fence 1", "brokers unfence 1 --epoch 7", "brokers unregister 1", "brokers shutdown 1 --no-wait",
            "topics create orders --partitions 3 --replication-factor 3 --config retention.ms=1 --config a=b",
            "topics create orders --assignment 1,2:2,1 --validate-only", "topics list --timeout 2s",
            "topics describe orders",
            "topics alter orders --config a=b --delete-config c --if-version 7", "topics alter orders --partitions 6",
            "topics delete orders --if-version 7", "partitions describe orders", "partitions describe orders 2",
            "partitions set-leader orders 0 2 --if-partition-epoch 3", "configs alter --broker 1 --config a=b",
            "watch --from 0 --topic-prefix ord --broker 1 --count 3 --output json",
            "log dump data/node1 --from 3 --limit 9",
            "bench write --clients 256 --connections 2 --duration 5s --value-size 100",
            "bench read --consistency stale",
            "bench failover --rounds 3 --pid-dir cluster/run", "status --endpoints a:1,b:2",
        ])
    func accepted(line: String) throws {
        _ = try Metactl.parseAsRoot(line.split(separator: " ").map(String.init))
    }

    private func options(_ arguments: [String]) throws -> GlobalOptions {
        try GlobalOptions.parse(arguments)
    }
}
