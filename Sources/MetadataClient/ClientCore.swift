import Logging
import NIOCore
import NIOPosix
import Wire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs a `ClientMachine` on an event loop: gives it what happens, does what it says. Confined to the loop; decides nothing.
final class ClientCore {
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let connectTimeout: TimeAmount
    private var machine: ClientMachine
    /// The handler of each node's connection, by the node's index; nil while it is not connected.
    private var handlers: [ConnectionHandler?] = []
    /// Handlers with bytes that wait for the end of the batch.
    private var unflushed: [ConnectionHandler] = []
    /// Set while actions are carried out: what they cause is handled by the loop that is already running.
    private var isPumping = false
    /// When the next tick is due, and the timer for it.
    private var tickTimer: (due: NIODeadline, scheduled: Scheduled<Void>)?

    init(options: MetadataClient.Options, logger: Logger, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.logger = logger
        connectTimeout = TimeAmount(options.connectTimeout)
        var generator = SystemRandomNumberGenerator()
        machine = ClientMachine(options: options, seed: generator.next())
    }

    // MARK: Inputs

    func submit(_ inputs: [ClientInput]) {
        let now = NIODeadline.now()
        for input in inputs { machine.submitted(input, now: now) }
        pump(now: now)
    }

    /// One frame of a read; `endOfRead` follows.
    func received(_ connection: ConnectionID, _ frame: ClientResponseFrame, now: NIODeadline) {
        machine.received(connection, frame, now: now)
    }

    func endOfRead(now: NIODeadline) { pump(now: now) }

    func connected(_ connection: ConnectionID, _ handler: ConnectionHandler) {
        while handlers.count <= connection.node.index { handlers.append(nil) }
        handlers[connection.node.index] = handler
        let now = NIODeadline.now()
        machine.connected(connection, now: now)
        pump(now: now)
    }

    func connectionLost(_ connection: ConnectionID, reason: String) {
        if handler(for: connection) != nil { handlers[connection.node.index] = nil }
        let now = NIODeadline.now()
        machine.connectionLost(connection, reason: reason, now: now)
        pump(now: now)
    }

    func writabilityChanged(_ connection: ConnectionID, isWritable: Bool) {
        machine.writabilityChanged(connection, isWritable: isWritable)
        pump(now: .now())
    }

    // MARK: Outputs

    /// Has the machine send what it can, and does what it says until there is nothing left; then flushes each connection
    /// once.
    private func pump(now: NIODeadline) {
        guard !isPumping else { return }
        isPumping = true
        repeat {
            machine.dispatch(now: now)
            let actions = machine.takeActions()
            if actions.isEmpty { break }
            for action in actions { perform(action) }
        } while true
        let dirty = unflushed
        unflushed.removeAll(keepingCapacity: true)
        for handler in dirty { handler.flush() }
        isPumping = false
        // A flush that failed has reported lost connections meanwhile.
        if machine.hasActions { return pump(now: now) }
        scheduleTick(now: now)
    }

    private func perform(_ action: ClientAction) {
        switch action {
        case .connect(let connection, let endpoint): connect(connection, endpoint)
        case .send(let connection, let frame):
            guard let handler = handler(for: connection) else { return }
            do {
                if try handler.enqueue(frame) { unflushed.append(handler) }
            } catch {
                machine.unsendable(connection, frame.id, reason: "\(error)")
            }
        case .disconnect(let connection):
            guard let handler = handler(for: connection) else { return }
            handlers[connection.node.index] = nil
            handler.disconnect()
        case .answerWrite(let handler, let result): handler(result)
        case .answerRead(let handler, let result): handler(result)
        case .answerHeartbeat(let handler, let result): handler(result)
        case .answerStatus(let handler, let result): handler(result)
        case .answerControl(let handler, let result): handler(result)
        case .answerMembership(let handler, let result): handler(result)
        case .answerBreakers(let handler, let result): handler(result)
        case .deliver(let id, let buffer, let events):
            if !buffer.offer(events) { machine.watchFilled(id) }
        case .finishWatch(let buffer, let failure): buffer.finish(failure)
        case .tell(let body): body()
        case .log(let note): log(note)
        }
    }

    private func handler(for connection: ConnectionID) -> ConnectionHandler? {
        guard connection.node.index < handlers.count, let handler = handlers[connection.node.index],
            handler.connection == connection
        else { return nil }
        return handler
    }

    private func connect(_ connection: ConnectionID, _ endpoint: MetadataClient.Endpoint) {
        // Both run on this loop, which the box checks.
        let box = NIOLoopBound(self, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ConnectionHandler(core: box.value, connection: connection)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        // An address needs no resolver, and with that no other thread.
        let attempt =
            if let address = numericAddress(endpoint) {
                bootstrap.connect(to: address)
            } else {
                bootstrap.resolver(NameLookup(on: eventLoop)).connect(host: endpoint.host, port: Int(endpoint.port))
            }
        attempt.whenFailure { error in box.value.connectionLost(connection, reason: describe(error)) }
    }

    /// Nil when the host is a name.
    private func numericAddress(_ endpoint: MetadataClient.Endpoint) -> SocketAddress? {
        do {
            return try SocketAddress(ipAddress: endpoint.host, port: Int(endpoint.port))
        } catch {
            return nil
        }
    }

    private func scheduleTick(now: NIODeadline) {
        guard let due = machine.nextTick(now: now) else {
            tickTimer?.scheduled.cancel()
            tickTimer = nil
            return
        }
        if let tickTimer, tickTimer.due <= due { return }
        tickTimer?.scheduled.cancel()
        let box = NIOLoopBound(self, eventLoop: eventLoop)
        tickTimer = (due, eventLoop.scheduleTask(deadline: due) { box.value.tick() })
    }

    private func tick() {
        tickTimer = nil
        let now = NIODeadline.now()
        machine.tick(now: now)
        pump(now: now)
    }

    private func log(_ note: ClientNote) {
        switch note {
        case .leaderChanged(let endpoint, let term):
            logger.info("the leader is known", metadata: ["node": "\(endpoint)", "term": "\(term)"])
        case .connectionLost(let endpoint, let reason):
            logger.debug("connection lost", metadata: ["node": "\(endpoint)", "reason": "\(reason)"])
        case .rejected(let endpoint, let reason):
            logger.error("node rejected", metadata: ["node": "\(endpoint)", "reason": "\(reason)"])
        case .sessionOpened(let id): logger.debug("session opened", metadata: ["session": "\(id)"])
        case .sessionLost(let id): logger.warning("session lost", metadata: ["session": "\(id)"])
        }
    }
}

/// What the system says of a failed connection, without the words of the libraries between.
package func describe(_ error: any Error) -> String {
    if let error = error as? IOError { return String(cString: strerror(error.errnoCode)).lowercased() }
    if let error = error as? NIOConnectionError {
        if let first = error.connectionErrors.first { return describe(first.error) }
        // Whether there is no such name, or nobody to ask.
        return error.dnsAError.map { "\($0)" } ?? "the name \(error.host) has no address"
    }
    if let error = error as? ChannelError, case .connectTimeout(let time) = error {
        return "no connection within \(time.nanoseconds / 1_000_000) ms"
    }
    return "\(error)"
}
