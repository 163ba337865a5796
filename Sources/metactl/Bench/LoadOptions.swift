import ArgumentParser
import MetadataClient
import MetadataModel

/// What all benchmarks have in common.
struct LoadOptions: ParsableArguments {
    @Option(help: "Requests in flight, over all connections.") var clients: Int?
    @Option(
        help: "Clients of the library to share them; each has a connection, a session and an event loop of its own.")
    var connections: Int = 1
    @Option(help: "Bytes of each value.") var valueSize: Int = 256
    @Option(
        help: """
            Keys that are written or read, one after the other. Up to \(Limits.configsPerResourceMax) are the cluster's; more \
            are spread over topics, which need a live broker.
            """)
    var keys: Int = 100
    @Flag(help: "Leave the keys in the cluster's configuration at the end.") var keepKeys = false

    static let clientsMax = 65_536
    static let connectionsMax = 256

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError("\(name) must be \(range.lowerBound) to \(range.upperBound), not \(value)")
            }
        }
        try check("--clients", clients ?? 1, 1...LoadOptions.clientsMax)
        try check("--connections", connections, 1...LoadOptions.connectionsMax)
        try check("--value-size", valueSize, 1...Limits.configValueBytesMax)
        try check("--keys", keys, 1...BenchWorkload.keysMax)
    }

    /// Requests in flight when none are given.
    static let clientsDefault = 64

    var workload: BenchWorkload { BenchWorkload(keys: keys, valueSize: valueSize) }
}

extension GlobalOptions {
    /// Runs `body` with the clients of a benchmark and closes them, however `body` ends.
    ///
    /// - Parameter inFlight: Requests that each client is to have under way, without a queue in the client.
    func withClients<Value>(
        _ count: Int, inFlight: Int, body: ([MetadataClient]) async throws -> Value
    ) async throws -> Value {
        var clients: [MetadataClient] = []
        for _ in 0..<count { clients.append(try makeClient(inFlightMax: inFlight)) }
        do {
            let value = try await body(clients)
            for client in clients { await client.close() }
            return value
        } catch {
            for client in clients { await client.close() }
            throw error
        }
    }
}

extension MetadataClient {
    /// Writes all keys of a benchmark: there is something to read, and the cluster is known to work.
    func prepare(_ workload: BenchWorkload) async throws {
        for command in workload.creation { _ = try await submit(command) }
    }

    func cleanUp(_ workload: BenchWorkload) async throws {
        for command in workload.removal { _ = try await submit(command) }
    }

    /// An operation that writes one key.
    func writing(_ workload: BenchWorkload) -> BenchOperation {
        { [self] number, done in
            submit(workload.command(number)) { result in done(BenchAnswer(result)) }
        }
    }
}

extension BenchAnswer {
    init<Value>(_ result: Result<Value, MetadataError>) {
        switch result {
        case .success: self = .success
        case .failure(let error): self = .failure(error.refusal?.reason.rawValue ?? error.code.rawValue)
        }
    }
}
