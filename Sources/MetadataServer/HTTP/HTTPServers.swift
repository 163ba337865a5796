import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Telemetry

/// The HTTP side of a node: health for people and probes on one port, metrics on another.
///
/// They run on NIO's shared event loops, apart from the node loop, and read only values that others keep up to date: a
/// slow or hostile caller costs the quorum nothing.
package struct HTTPServers: Service {
    package enum Listener: String, CaseIterable, Sendable {
        case health
        case metrics

        /// The setting that moves it to another port.
        var portKey: String {
            switch self {
            case .health: "health.http.port"
            case .metrics: "metrics.port"
            }
        }

        /// The setting that moves it to another address.
        var hostKey: String {
            switch self {
            case .health: "health.http.bind_address"
            case .metrics: "metrics.bind_address"
            }
        }
    }

    /// Connections of one listener at a time; more wait in the backlog of the system.
    static let connectionsMax = 256
    /// Connections on which nothing happens are closed after this.
    static let idleTimeout: TimeAmount = .seconds(60)

    /// One for each enabled listener, for a service group that wants to know them apart.
    package let services: [any Service]
    private let logger: Logger

    /// - Parameter onListening: Called when a listener is open, with the address that it got; port 0 shows here what the
    ///   system chose.
    package init(
        configuration: NodeConfiguration, health: any HealthSource, performance: any PerformanceSource,
        registry: MetricsRegistry, logger: Logger,
        onListening: @escaping @Sendable (Listener, NetworkAddress) -> Void = { _, _ in }
    ) {
        var services: [any Service] = []
        if configuration.health.http.isEnabled {
            services.append(
                ListenerService(
                    listener: .health, address: configuration.health.http.address,
                    responder: Self.healthRouter(health, performance, logger: logger).buildResponder(), logger: logger,
                    onListening: onListening))
        }
        if configuration.metrics.isEnabled {
            services.append(
                ListenerService(
                    listener: .metrics, address: configuration.metrics.address,
                    responder: Self.metricsRouter(registry, path: configuration.metrics.path, logger: logger)
                        .buildResponder(),
                    logger: logger, onListening: onListening))
        }
        self.services = services
        self.logger = logger
    }

    /// Runs all of them, until the task is cancelled or the service group around it shuts down. Nobody listens when both
    /// are switched off, and that is no reason to end.
    package func run() async throws {
        guard !services.isEmpty else { return try await gracefulShutdown() }
        try await ServiceGroup(configuration: .init(services: services, logger: logger)).run()
    }

    /// 200 or 503 tells a load balancer enough; the body tells a person the rest.
    private static func healthRouter(
        _ health: any HealthSource, _ performance: any PerformanceSource, logger: Logger
    ) -> Router<BasicRequestContext> {
        let router = router(
            ["/health", "/health/live", "/health/ready", "/health/raft", "/performance"], logger: logger)
        router.get("/health") { _, _ in
            let snapshot = health.snapshot()
            return answer(HealthReport.whole(snapshot), isGood: snapshot.isReady)
        }
        router.get("/health/live") { _, _ in
            let snapshot = health.snapshot()
            return answer(HealthReport.live(snapshot), isGood: snapshot.isLive)
        }
        router.get("/health/ready") { _, _ in
            let snapshot = health.snapshot()
            return answer(HealthReport.ready(snapshot), isGood: snapshot.isReady)
        }
        router.get("/health/raft") { _, _ in
            let snapshot = health.snapshot()
            return answer(
                HealthReport.raft(snapshot), isGood: snapshot.hasQuorum, mediaType: "application/json")
        }
        router.get("/performance") { _, _ in
            answer(PerformanceReport.json(performance.performance()), isGood: true, mediaType: "application/json")
        }
        return router
    }

    private static func metricsRouter(
        _ registry: MetricsRegistry, path: String, logger: Logger
    ) -> Router<BasicRequestContext> {
        let router = router([path], logger: logger)
        router.get(RouterPath(path)) { _, _ in
            Response(
                status: .ok, headers: headers(MetricsRegistry.contentType),
                body: ResponseBody(byteBuffer: ByteBuffer(string: registry.exposition())))
        }
        return router
    }

    private static func router(_ paths: Set<String>, logger: Logger) -> Router<BasicRequestContext> {
        let router = Router(options: .autoGenerateHeadEndpoints)
        router.add(middleware: Pages(paths: paths, logger: logger))
        return router
    }

    private static func answer(
        _ json: [UInt8], isGood: Bool, mediaType: String = HealthReport.mediaType
    ) -> Response {
        Response(
            status: isGood ? .ok : .serviceUnavailable, headers: headers(mediaType),
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: json)))
    }

    /// Both change with every request; a cache on the way must not answer for the node.
    private static func headers(_ contentType: String) -> HTTPFields {
        [.contentType: contentType, .cacheControl: "no-store"]
    }
}

/// One listener with its routes, as a service whose failure to open says which setting to change.
private struct ListenerService: Service {
    let listener: HTTPServers.Listener
    let address: NetworkAddress
    let responder: RouterResponder<BasicRequestContext>
    let logger: Logger
    let onListening: @Sendable (HTTPServers.Listener, NetworkAddress) -> Void

    func run() async throws {
        let opened = Opened()
        let reach = address.isLoopback ? "this machine only" : "every host that can route to it"
        let application = Application(
            responder: responder,
            server: .http1(configuration: .init(idleTimeout: HTTPServers.idleTimeout)),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port),
                availableConnectionsDelegate: .maximum(HTTPServers.connectionsMax, logger: logger)),
            onServerRunning: { channel in
                opened.set()
                do {
                    try await channel.eventLoop.submit {
                        try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger), position: .first)
                    }.get()
                } catch {
                    // The listener is closing already.
                    logger.debug("no pause without descriptors", metadata: ["error": "\(error)"])
                }
                let bound = NetworkAddress(
                    host: address.host, port: channel.localAddress?.port ?? address.port)
                logger.info(
                    "listening",
                    metadata: [
                        "listener": "\(listener.rawValue)", "address": "\(bound)", "reachable_from": "\(reach)",
                    ])
                onListening(listener, bound)
            },
            logger: quiet)
        do {
            try await application.run()
        } catch  where !opened.isSet && !(error is CancellationError) {
            throw ListenError(error, address: address, portKey: listener.portKey, hostKey: listener.hostKey)
        }
    }

    /// The framework's own line about the port would repeat ours.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    private final class Opened: Sendable {
        private let state = Mutex(false)

        func set() { state.withLock { $0 = true } }

        var isSet: Bool { state.withLock { $0 } }
    }
}
