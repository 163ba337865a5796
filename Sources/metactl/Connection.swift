import Foundation
import Logging
import MetadataClient
import MetadataModel

extension GlobalOptions {
    /// A client as the options describe it.
    ///
    /// - Parameters:
    ///   - inFlightMax: Requests under way at a time; nil takes the library's default.
    ///   - endpoints: Where to begin; nil: where the options say.
    ///   - tracing: Records the calls; nil: nothing does.
    func makeClient(
        inFlightMax: Int? = nil, endpoints: [MetadataClient.Endpoint]? = nil, tracing: CommandTracing? = nil
    ) throws(CommandFailure) -> MetadataClient {
        let given: [MetadataClient.Endpoint]
        if let endpoints { given = endpoints } else { given = try resolvedEndpoints().items }
        var options = MetadataClient.Options(endpoints: given)
        options.clusterID = clusterID
        options.clientName = "metactl-\(ProcessInfo.processInfo.processIdentifier)"
        options.timeout = timeout
        options.leaderWait = timeout
        if let inFlightMax { options.inFlightMax = max(inFlightMax, options.inFlightMax) }
        return MetadataClient(options, logger: logger, tracer: tracing?.tracer)
    }

    /// Runs `body` with a client and closes it, however `body` ends.
    func withClient<Value>(_ body: (MetadataClient) async throws -> Value) async throws -> Value {
        let tracing = try CommandTracing(ProcessInfo.processInfo.environment, logger: logger)
        let client = try makeClient(tracing: tracing)
        do {
            let value = try await body(client)
            await client.close()
            await tracing?.export()
            return value
        } catch {
            await client.close()
            await tracing?.export()
            throw error
        }
    }

    /// Silent unless asked for: what an operator has to know is in the answer or in the failure.
    var logger: Logger {
        var logger = Logger(label: "metactl", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = verbose ? .debug : .critical
        return logger
    }
}

extension CommandFailure {
    /// What the client library reports, as exit status and text. The outcome decides first: whoever retries a change that
    /// may have happened has to know it.
    init(_ error: MetadataError) {
        let status: ExitStatus
        switch error.outcome {
        case .indefinite:
            status = .unknownOutcome
        case .definite:
            switch error.code {
            case .refused, .invalidRequest, .unknownBroker: status = .refused
            case .unavailable, .timedOut, .overloaded, .clientOverloaded, .circuitOpen, .sessionLost, .wrongCluster,
                .unsupportedProtocol,
                .storageFailed, .diskFull, .protocolViolation, .cancelled, .clientClosed:
                status = .unavailable
            }
        }
        self.init(
            status: status, code: error.refusal?.reason.rawValue ?? error.code.rawValue,
            category: error.category.rawValue, detail: error.detail,
            outcome: error.outcome == .indefinite ? .indefinite : .definite)
    }
}
