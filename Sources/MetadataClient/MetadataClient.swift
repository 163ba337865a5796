import Logging
import MetadataModel
import MetadataSchema
import NIOCore
import NIOPosix
import Synchronization
import Tracing
import Wire

/// A broker's (or a tool's) access to the metadata quorum.
///
/// Make one for the process, share it, and keep it for as long as calls and watches are to go on: it finds the leader from any of its endpoints, keeps one connection to each node
/// that it needs, pipelines all calls, and retries by itself until the deadline of each call. Calls may be made from any
/// task. Writes are carried out once: they travel in a session and the cluster recognizes retries (Diss. §6.3). It
/// connects with the first call.
///
/// Every call throws `MetadataError`; see there for what to do with it.
public final class MetadataClient: Sendable {
    let options: Options
    let logger: Logger
    private let tracer: (any Tracer)?
    private let runtime: ClientRuntime

    /// Makes a client; nothing is connected yet.
    ///
    /// - Parameters:
    ///   - options: Where the nodes are, and the limits. Needs at least one endpoint.
    ///   - logger: Told about connections and leaders; silent by default.
    ///   - tracer: Records a span for each call and passes its context to the cluster; nil takes that of the process
    ///     (`InstrumentationSystem`), if it has one.
    ///   - eventLoopGroup: Where the client runs; it uses one loop of it. Nil takes the process-wide singleton.
    public init(
        _ options: Options,
        logger: Logger = Logger(label: "MetadataClient", factory: { _ in SwiftLogNoOpLogHandler() }),
        tracer: (any Tracer)? = nil, eventLoopGroup: (any EventLoopGroup)? = nil
    ) {
        precondition(!options.endpoints.isEmpty, "a MetadataClient needs at least one endpoint")
        precondition(options.inFlightMax > 0, "inFlightMax must be 1 or more, not \(options.inFlightMax)")
        self.options = options
        self.logger = logger
        self.tracer = tracer
        let group = eventLoopGroup ?? MultiThreadedEventLoopGroup.singleton
        runtime = ClientRuntime(options: options, logger: logger, eventLoop: group.any())
    }

    deinit {
        // Without a client nobody can make calls; the connections of one that was not closed go too.
        runtime.post(.close {})
    }

    /// Fails all calls that are still open with the code `clientClosed`, ends watches, gives the session back and closes
    /// the connections. Calls made later fail at once. Harmless when called again.
    public func close() async {
        await withCheckedContinuation { continuation in
            runtime.post(.close { continuation.resume() })
        }
    }

    // MARK: Any command, any query

    /// Has a command replicated and carried out, once.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait, retries included; nil takes `Options.timeout`.
    /// - Returns: What the command returns. A refusal is thrown as the code `refused`.
    public func submit(_ command: Command, timeout: Duration? = nil) async throws(MetadataError) -> CommandResult {
        try await submit(command, operation: command.operationName, timeout: timeout)
    }

    /// Asks a question.
    ///
    /// - Parameters:
    ///   - consistency: How fresh the answer has to be.
    ///   - timeout: How long to wait, retries included; nil takes `Options.timeout`.
    /// - Returns: The answer; `QueryResult.notFound` when what was asked for does not exist.
    public func query(
        _ query: Query, consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> QueryResult {
        try await self.query(query, operation: query.operationName, consistency: consistency, timeout: timeout)
    }

    /// As `submit(_:timeout:)`, without a task for each call: `completion` runs on the client's event loop and must not
    /// block.
    package func submit(
        _ command: Command, deadline: NIODeadline? = nil,
        completion: @escaping @Sendable (Result<CommandResult, MetadataError>) -> Void
    ) {
        let operation = command.operationName
        runtime.post(
            .write(runtime.nextCallID(), command.schemaBytes(), deadline: deadline ?? self.deadline(nil)) { result in
                completion(result.mapError { MetadataError($0, operation: operation) })
            })
    }

    /// As `query(_:consistency:timeout:)`, without a task for each call: `completion` runs on the client's event loop and
    /// must not block.
    package func query(
        _ query: Query, consistency: ReadConsistency = .linearizable, deadline: NIODeadline? = nil,
        completion: @escaping @Sendable (Result<QueryResult, MetadataError>) -> Void
    ) {
        let operation = query.operationName
        runtime.post(
            .read(runtime.nextCallID(), query, consistency, deadline: deadline ?? self.deadline(nil)) { result in
                completion(result.mapError { MetadataError($0, operation: operation) })
            })
    }

    // MARK: Watching

    /// Follows the changes of the metadata from a version on.
    ///
    /// Take an image first (`summary()` for its version, lists for its rows), then watch after that version: nothing is
    /// lost and nothing comes twice, also when connections break or nodes change. See `WatchEvent`.
    public func watch(after version: Version, filter: WatchFilter = .init()) -> MetadataWatch {
        let id = runtime.nextCallID()
        let runtime = self.runtime
        let buffer = WatchBuffer(
            resume: { runtime.post(.resumeWatch(id)) }, cancel: { runtime.post(.cancelWatch(id)) })
        runtime.post(.watch(id, after: version, filter, buffer))
        return MetadataWatch(buffer: buffer)
    }

    // MARK: Nodes

    /// Asks every node that is known (the given endpoints and the members that they name) how it is, each directly; works
    /// without a leader. In order of the endpoints given, then of the members learned.
    ///
    /// - Parameter timeout: How long to wait for each node; nil takes `Options.timeout`.
    public func nodeStatuses(timeout: Duration? = nil) async -> [NodeStatusAnswer] {
        var answers: [NodeStatusAnswer] = []
        var asked: Set<Endpoint> = []
        let deadline = self.deadline(timeout)
        // Answers teach us members, which are asked in the next round; the limit on known nodes bounds the rounds.
        while true {
            let known = await withCheckedContinuation { continuation in
                runtime.post(.knownEndpoints { continuation.resume(returning: $0) })
            }
            let fresh = known.filter { asked.insert($0).inserted }
            guard !fresh.isEmpty else { return answers }
            answers += await withTaskGroup(of: (Int, NodeStatusAnswer).self) { group in
                for (position, endpoint) in fresh.enumerated() {
                    group.addTask { [self] in (position, await nodeStatus(of: endpoint, deadline: deadline)) }
                }
                var round: [(Int, NodeStatusAnswer)] = []
                for await answer in group { round.append(answer) }
                return round.sorted { $0.0 < $1.0 }.map(\.1)
            }
        }
    }

    private func nodeStatus(of endpoint: Endpoint, deadline: NIODeadline) async -> NodeStatusAnswer {
        let result: Result<NodeStatus, CallFailure> = await call { id, handler in
            .status(id, endpoint, deadline: deadline, handler)
        }
        return NodeStatusAnswer(
            endpoint: endpoint,
            status: result.map(NodeStatusReport.init).mapError { MetadataError($0, operation: "nodeStatus") })
    }

    /// The circuit breakers of one node, after what is to be done to one of them, if anything.
    func breakers(
        of endpoint: Endpoint, after control: BreakerControl?, timeout: Duration?
    ) async -> Result<[BreakerReading], MetadataError> {
        let deadline = self.deadline(timeout)
        return await call { id, handler in
            .breakers(id, endpoint, control, deadline: deadline, handler)
        }.mapError { MetadataError($0, operation: "breakers") }
    }

    /// Tells the leader that a broker lives. `BrokerSession` does this by itself.
    package func heartbeat(
        _ heartbeat: BrokerHeartbeat, timeout: Duration? = nil
    ) async throws(MetadataError) -> HeartbeatAnswer {
        let deadline = self.deadline(timeout)
        return try await call { id, handler in
            .heartbeat(id, heartbeat, deadline: deadline, handler)
        }.mapError { MetadataError($0, operation: "heartbeat") }.get()
    }

    // MARK: Plumbing

    func submit(
        _ command: Command, operation: String, timeout: Duration?
    ) async throws(MetadataError) -> CommandResult {
        let bytes = command.schemaBytes()
        let deadline = self.deadline(timeout)
        return try await traced(operation) { id, handler in
            .write(id, bytes, deadline: deadline, handler)
        }
    }

    func query(
        _ query: Query, operation: String, consistency: ReadConsistency, timeout: Duration?
    ) async throws(MetadataError) -> QueryResult {
        let deadline = self.deadline(timeout)
        return try await traced(operation) { id, handler in
            .read(id, query, consistency, deadline: deadline, handler)
        }
    }

    /// One call under a span of its own, if there is a tracer.
    private func traced<Value: Sendable>(
        _ operation: String, _ input: @Sendable (CallID, @escaping Handler<Value>) -> ClientInput
    ) async throws(MetadataError) -> Value {
        let trace = CallTrace(operation, tracer ?? InstrumentationSystem.tracer)
        let result = await call(traceparent: trace?.traceparent, input).mapError { failure in
            MetadataError(failure, operation: operation)
        }
        trace?.end(result)
        return try result.get()
    }

    func ask(_ call: MembershipCall, timeout: Duration?) async -> Result<MembershipAnswer, CallFailure> {
        let deadline = self.deadline(timeout)
        return await self.call { id, handler in .membership(id, call, deadline: deadline, handler) }
    }

    func ask(
        _ endpoint: Endpoint, _ control: NodeControl, timeout: Duration?
    ) async -> Result<NodeControlAnswer, CallFailure> {
        let deadline = self.deadline(timeout)
        return await call { id, handler in .control(id, endpoint, control, deadline: deadline, handler) }
    }

    private func deadline(_ timeout: Duration?) -> NIODeadline {
        .now() + TimeAmount(timeout ?? options.timeout)
    }

    /// Posts one call and waits for its answer. A cancelled task stops waiting: the call ends with the code `cancelled`.
    private func call<Value: Sendable>(
        traceparent: String? = nil, _ input: @Sendable (CallID, @escaping Handler<Value>) -> ClientInput
    ) async -> Result<Value, CallFailure> {
        let id = runtime.nextCallID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if let traceparent { runtime.post(.trace(id, traceparent)) }
                runtime.post(input(id) { continuation.resume(returning: $0) })
                // A cancellation that came before the call was posted found nothing to cancel.
                if Task.isCancelled { runtime.post(.cancel(id)) }
            }
        } onCancel: {
            runtime.post(.cancel(id))
        }
    }
}
