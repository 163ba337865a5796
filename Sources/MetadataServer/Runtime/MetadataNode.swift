import Logging
import MetadataStore
import NIOCore
import NIOPosix
import RaftCore
import RaftLog
import Replica
import Resilience
import ServiceLifecycle
import Telemetry
import Wire

/// A node, from its data directory to its listeners, as a service.
package final class MetadataNode: Service {
    private let configuration: NodeConfiguration
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    let storage: NodeStorage
    let published: PublishedState
    private let breakers = CircuitBreakers(clock: ContinuousClock())
    private let registry: MetricsRegistry
    private let administration: Administration
    private let tracer = SpanTracer()

    private let monitor: HealthMonitor
    private let meter: PerformanceMeter

    /// Sends the spans that the node records. A service of its own, that outlives the node.
    package let spanExport: SpanExport
    package var health: any HealthSource { monitor }
    package var performance: any PerformanceSource { meter }

    /// Opens everything on disk. Nothing listens before `run`.
    package init(
        _ configuration: NodeConfiguration, registry: MetricsRegistry, administration: Administration, logger: Logger
    ) throws {
        self.configuration = configuration
        self.logger = logger
        self.registry = registry
        self.administration = administration
        let opened = try OpenedStorage(configuration, logger: logger)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
        let breakerOptions = CircuitBreaker.Options(configuration.resilience.circuitBreaker)
        storage = try NodeStorage(
            opened: opened, loop: loop, breaker: breakers.breaker("store", options: breakerOptions),
            upkeep: breakers.breaker("store-upkeep", options: breakerOptions),
            syncDuration: registry.histogram(
                "raft_log_sync_duration_seconds", help: "How long syncs of the log took."))
        published = PublishedState(
            nodeID: configuration.node.id, clusterID: configuration.cluster.id,
            dataDirectory: configuration.node.dataDirectory)
        let connectionsMax = DescriptorLimit.connections(wanted: configuration.limits.clientConnectionsMax)
        if connectionsMax < configuration.limits.clientConnectionsMax {
            logger.warning(
                "the limit of open files leaves room for fewer clients than limits.client_connections_max",
                metadata: ["client_connections": "\(connectionsMax)"])
        }
        let statistics = StoreStatistics()
        let meter = PerformanceMeter(
            registry: registry, published: published, storage: storage, statistics: statistics,
            connectionsMax: connectionsMax)
        self.meter = meter
        monitor = HealthMonitor(
            published: published, options: HealthMonitor.Options(configuration),
            probes: NodeProbe.all(storage, statistics: statistics),
            timeouts: GateMetrics.timeouts(of: "health_check", in: registry), alongside: { meter.tick() })
        NodeMetrics.register(in: registry, published: published, storage: storage)
        BreakerMetrics.register(in: registry, breakers: breakers)
        let exporter = SpanExporter(
            buffer: tracer.buffer,
            resource: [
                ("service.name", "streambus-metadata"), ("service.instance.id", "\(configuration.node.id)"),
                ("streambus.cluster", configuration.cluster.id),
            ],
            breaker: breakers.breaker("trace-export", options: breakerOptions), logger: logger.component("traces"))
        exporter.register(in: registry)
        exporter.follow(configuration.tracing, tracer)
        spanExport = SpanExport(exporter: exporter)
        let disk = storage.disk
        administration.reloads.onChange { [storage, tracer] configuration, changed in
            if !changed.isDisjoint(with: ["tracing.endpoint", "tracing.sampling"]) {
                exporter.follow(configuration.tracing, tracer)
            }
            storage.onLoop { $0.take(over: NodeSettings(configuration, disk: disk, seed: 0)) }
        }
    }

    package func run() async throws {
        let ended = loop.makePromise(of: Void.self)
        let node: NIOLoopBound<Node>
        do {
            node = try await serve(until: ended)
        } catch {
            published.failed("\(error)")
            do {
                try await close()
            } catch {
                logger.warning("the node did not stop cleanly", metadata: ["error": "\(error)"])
            }
            throw error
        }
        try await close(node)
    }

    /// - Returns: the node when it was told to stop and has done so, but for its threads.
    private func serve(until ended: EventLoopPromise<Void>) async throws -> NIOLoopBound<Node> {
        let settings = NodeSettings(
            configuration, disk: storage.disk,
            seed: UInt64.random(in: .min ... .max))
        let node = try await loop.submit { [self] in
            let node = Node(
                eventLoop: loop, settings: settings, storage: storage, published: published,
                operations: OperationMetrics(registry: registry), breakers: breakers,
                administration: administration, tracer: tracer, failed: ended, logger: logger)
            node.connect()
            return NIOLoopBound(node, eventLoop: loop)
        }.get()
        let listeners: [any Channel]
        do {
            listeners = try await listen(node)
        } catch {
            ended.succeed()
            throw error
        }
        try await loop.submit { node.value.start() }.get()
        monitor.run()
        logger.info(
            "node is up",
            metadata: [
                "node": "\(configuration.node.id)", "cluster": "\(configuration.cluster.id)",
                "client_address": "\(configuration.node.clientAddress)",
                "peer_address": "\(configuration.node.peerAddress)",
                "advertised_client_address": "\(configuration.node.advertisedClientAddress)",
                "advertised_peer_address": "\(configuration.node.advertisedPeerAddress)",
                "reachable_from": isOnLoopback ? "this machine only" : "every host that can route to it",
                "applied": "\(storage.image.applied)",
            ])
        let outcome = await withTaskCancellationOrGracefulShutdownHandler {
            await Result(catching: { try await ended.futureResult.get() })
        } onCancelOrGracefulShutdown: {
            ended.succeed()
        }
        if case .success = outcome { await drain(node) }
        for listener in listeners { listener.close(promise: nil) }
        try await loop.submit { node.value.stop() }.get()
        try outcome.get()
        return node
    }

    private var isOnLoopback: Bool {
        configuration.node.clientAddress.isLoopback && configuration.node.peerAddress.isLoopback
    }

    /// Waits until another member leads and every request that was taken has its answer, or for half the time that a stop may
    /// take, and lets clients go there: what is said to a client last is lost when its connection closes while it is still sending.
    private func drain(_ node: NIOLoopBound<Node>) async {
        let patience = configuration.resilience.timeouts.shutdown / 2
        let deadline = ContinuousClock.now + patience
        var hasLed = false
        do {
            while try await loop.submit({ node.value.drain() }).get(), ContinuousClock.now < deadline {
                hasLed = true
                try await Task.sleep(for: .milliseconds(5))
            }
            // Nothing new is taken now. What was taken before is answered, as far as a quorum and a disk let it be.
            while try await loop.submit({ node.value.owesAnswers }).get(), ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
            if hasLed { try await Task.sleep(for: .milliseconds(50)) }
            logger.info("stopping")
        } catch {
            logger.warning("stopping without handing over", metadata: ["error": "\(error)"])
        }
    }

    private func listen(_ node: NIOLoopBound<Node>) async throws -> [any Channel] {
        let logger = logger.component("clients")
        let peerLogger = logger.component("peers")
        let clients = try await bind(configuration.node.clientAddress, key: "node.client_address") { channel in
            try channel.pipeline.syncOperations.addHandler(
                ClientConnection(
                    id: node.value.nextConnectionID(), node: node.value, logger: logger, allocator: channel.allocator))
        }
        let peers = try await bind(configuration.node.peerAddress, key: "node.peer_address") { channel in
            try channel.pipeline.syncOperations.addHandler(PeerConnection(node: node.value, logger: peerLogger))
        }
        return [clients, peers]
    }

    private func bind(
        _ address: NetworkAddress, key: String, child: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> any Channel {
        do {
            return try await ServerBootstrap(group: loop)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { [logger] channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger))
                    }
                }
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                // A host that went away without a word holds its place no longer than this: idle, then three probes.
                .childChannelOption(.socketOption(.so_keepalive), value: 1)
                .childChannelOption(.keepaliveIdleSeconds, value: 10)
                .childChannelOption(.keepaliveIntervalSeconds, value: 5)
                .childChannelOption(.keepaliveProbes, value: 3)
                .childChannelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 4 << 20))
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try child(channel) }
                }
                .bind(host: address.host, port: address.port)
                .get()
        } catch {
            throw ListenError(error, address: address, portKey: key, hostKey: key)
        }
    }

    /// Ends the threads, within the other half of the time that a stop may take, and throws what they or the node found on
    /// the way: a log that failed at last must not end as a stop in order.
    private func close(_ node: NIOLoopBound<Node>? = nil) async throws {
        monitor.stop()
        let storage = storage
        let patience = configuration.resilience.timeouts.shutdown / 2
        try await BlockingWork.run("ending the threads of log and database", within: patience) { try storage.stop() }
        let failure = try await loop.submit { node?.value.failure }.get()
        storage.disconnect()
        try await group.shutdownGracefully()
        if let failure { throw failure }
    }
}

extension SpanExporter {
    fileprivate func follow(_ tracing: NodeConfiguration.Tracing, _ tracer: SpanTracer) {
        send(to: tracing.endpoint)
        tracer.configure(sampling: tracing.endpoint == nil ? nil : tracing.sampling)
    }
}

extension Result where Failure == any Error {
    fileprivate init(catching body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
