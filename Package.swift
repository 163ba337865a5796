// swift-tools-version: 6.2

import PackageDescription

// One set of rules for every target of ours: Swift 6 mode, no warning is let through.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")

/// A target lists what it may import and nothing else: the layers of docs/architecture.md are enforced here.
func layer(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency], path: String? = nil, resources: [Resource] = [],
    exclude: [String] = []
) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: path, exclude: exclude, resources: resources,
        swiftSettings: settings)
}

/// `cluster/fuzz` builds the fuzz targets as a program for libFuzzer, in place of their tests.
let isFuzzing = Context.environment["STREAMBUS_FUZZ"] == "1"
let fuzzDependencies: [Target.Dependency] = [
    "RaftCore", "MetadataModel", "MetadataSchema", "Wire", "RaftLog", "MetadataStore", nioCore,
]
let fuzzTargets: Target =
    isFuzzing
    ? .executableTarget(
        name: "fuzz", dependencies: fuzzDependencies, path: "Tests/FuzzTests", exclude: ["Corpus", "FuzzTests.swift"],
        swiftSettings: settings)
    : tests("FuzzTests", fuzzDependencies, exclude: ["Corpus", "LibFuzzer.swift"])

let package = Package(
    name: "streambus-metadata",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "RaftCore", targets: ["RaftCore"]),
        .library(name: "MetadataClient", targets: ["MetadataClient", "MetadataModel"]),
        .executable(name: "metad", targets: ["metad"]),
        .executable(name: "metactl", targets: ["metactl"]),
        .executable(name: "simulate", targets: ["simulate"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.0.0", traits: ["YAML"]),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.2.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.7.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.30.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.5.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.1.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.15.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
    ],
    targets: [
        // Pure: the standard library and Collections. No clock, file, socket, thread, Foundation.
        layer("RaftCore", [collections]),
        layer("MetadataModel", [collections]),
        layer("Coordination", ["MetadataModel", collections]),
        layer("Replica", ["RaftCore", "MetadataModel", "MetadataSchema", "Coordination", "Resilience", collections]),
        layer("Resilience"),

        // Storage: blocking calls on threads of their own. No NIO, no Task.
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        layer("RaftLog", ["RaftCore", "CZlib"]),
        layer("MetadataSchema", ["RaftCore", "MetadataModel", protobuf], exclude: ["Protos", "generate"]),
        layer("MetadataStore", ["RaftCore", "MetadataModel", "MetadataSchema", "CZlib", grdb, grdbSQLite]),

        // Runtime.
        layer(
            "Wire", ["RaftCore", "MetadataModel", "MetadataSchema", nioCore, nioPosix, protobuf], exclude: ["Protos"]),
        layer("Telemetry", ["Resilience", logging, metrics, tracing, nioCore, nioPosix, nioHTTP]),
        layer(
            "MetadataServer",
            [
                "Replica", "RaftCore", "RaftLog", "MetadataModel", "MetadataStore", "MetadataSchema", "Coordination",
                "Wire",
                "Resilience", "Telemetry", nioCore, nioPosix, logging, metrics, tracing, lifecycle, configuration,
                hummingbird, collections,
            ]),
        layer(
            "MetadataClient",
            [
                "MetadataModel", "MetadataSchema", "RaftCore", "Wire", "Resilience", nioCore, nioPosix, logging,
                tracing,
                collections,
            ]),

        // Entry.
        program("metad", ["MetadataServer", "Telemetry", "RaftCore", argumentParser, logging, lifecycle, signals]),
        program(
            "metactl",
            [
                "MetadataClient", "MetadataModel", "MetadataStore", "Coordination", "RaftCore", "RaftLog", "Replica",
                "MetadataSchema", "Telemetry", "Wire", nioCore,
                argumentParser, collections, histogram, logging, tracing,
            ]),
        program("simulate", ["Simulation", argumentParser]),

        // Test side: no shipped target imports these.
        layer("SimulatedDisk", ["RaftCore", "MetadataStore", grdbSQLite]),
        layer(
            "Simulation",
            [
                "RaftCore", "RaftLog", "Replica", "Resilience", "MetadataModel", "MetadataSchema", "MetadataStore",
                "Coordination", "Wire", "SimulatedDisk", nioCore, collections,
            ]),
        tests("RaftCoreTests", ["RaftCore", "StoryFiles"], exclude: ["Scenarios"]),
        tests("RaftLogTests", ["RaftLog", "RaftCore"]),
        tests("ResilienceTests", ["Resilience"]),
        tests("MetadataModelTests", ["MetadataModel", "Coordination"]),
        tests(
            "MetadataStoreTests",
            ["MetadataStore", "MetadataModel", "MetadataSchema", "RaftCore", "SimulatedDisk", grdb]),
        tests("WireTests", ["Wire", "MetadataSchema", "MetadataModel", "RaftCore", nioCore, nioPosix]),
        tests(
            "MetadataClientTests",
            [
                "MetadataClient", "Resilience", "RaftCore", "Wire", "MetadataModel", "MetadataSchema", "Coordination",
                nioCore, nioPosix,
            ]),
        tests(
            "MetadataServerTests",
            [
                "MetadataServer", "MetadataClient", "RaftCore", "RaftLog", "Replica", "Resilience", "MetadataModel",
                "MetadataStore", "SimulatedDisk", "Telemetry", "Wire", "Coordination", nioCore, nioPosix, nioHTTP,
                metrics, logging,
                tracing, lifecycle, grdb,
            ]),
        tests(
            "ReplicaTests",
            ["Replica", "RaftCore", "Resilience", "MetadataModel", "MetadataSchema", "Coordination", "StoryFiles"],
            exclude: ["Scenarios"]),
        tests(
            "SimulationTests",
            ["Simulation", "simulate", "Replica", "RaftCore", "RaftLog", "MetadataModel", "MetadataSchema"]),
        tests(
            "MetactlTests",
            [
                "metactl", "MetadataClient", "MetadataModel", "MetadataSchema", "MetadataStore", "Coordination",
                "RaftCore",
                "RaftLog", "Wire", argumentParser, nioCore, nioPosix,
            ]),
        .target(name: "StoryFiles", path: "Tests/StoryFiles", swiftSettings: settings),
        fuzzTargets,
        tests("TidyTests", []),
        tests(
            "ChaosTests",
            ["MetadataClient", "MetadataModel", "RaftCore", "Simulation", "Wire", nioCore, nioPosix, nioHTTP, grdb],
            path: "ChaosTests", exclude: ["README.md", "report", "soak", "Harness/faults.c"]),
    ]
)
