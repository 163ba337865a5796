import NIOCore
import RaftCore
import Wire

/// A connection through a proxy: two streams, one each way. Confined to the proxies' event loop.
final class ProxyConnection {
    let target: Int
    let forward: ProxyStream
    let backward: ProxyStream
    private let board: ProxyBoard
    private let client: any Channel
    private var server: (any Channel)?
    /// Reads the first frame, which says who dials; nil when that is known, or never will be.
    private var greeting: FrameDecoder? = FrameDecoder(kind: .peer)
    private var isClosed = false

    init(board: ProxyBoard, client: any Channel, target: Int) {
        self.board = board
        self.client = client
        self.target = target
        forward = ProxyStream(board: board, input: client)
        backward = ProxyStream(board: board, input: nil)
        forward.connection = self
        backward.connection = self
        backward.output = client
    }

    func reaches(_ server: any Channel) {
        guard !isClosed else { return server.close(promise: nil) }
        self.server = server
        forward.output = server
        backward.input = server
        board.connects(to: target)
        for channel in [client, server] {
            channel.setOption(.autoRead, value: true).whenFailure { _ in channel.close(promise: nil) }
        }
        conditionsChanged()
    }

    /// What arrives first, until it says who dials. A stranger is let through: nodes have to cope with them.
    func reads(_ bytes: ByteBuffer, of stream: ProxyStream) {
        guard stream === forward, var decoder = greeting else { return }
        var bytes = bytes
        decoder.append(&bytes)
        greeting = decoder
        do {
            guard let body = try decoder.next() else { return }
            if case .hello(let hello) = try PeerFrame(decoding: body) {
                let dialler = Int(hello.node.rawValue)
                forward.link = Link(from: dialler, to: target)
                backward.link = Link(from: target, to: dialler)
            }
        } catch {
            // Not our protocol: there is no link to speak of.
        }
        greeting = nil
        backward.pump()
    }

    /// Nothing passes before it is known whose it is.
    var isKnown: Bool { greeting == nil }

    func conditionsChanged() {
        forward.pump()
        backward.pump()
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        client.close(promise: nil)
        server?.close(promise: nil)
        forward.stop()
        backward.stop()
        board.closes(self)
    }
}

/// One direction of a connection: what has arrived and has not been passed on. Order is kept, as TCP keeps it.
final class ProxyStream {
    /// After this time without an acknowledgement a node's own connection to a peer is given up, by a setting of its socket. The
    /// proxy acknowledges everything, so it has to do that.
    private static let silenceMax = TimeAmount.seconds(2)
    /// The least time after which Linux sends a lost packet again.
    private static let resendTime = TimeAmount.milliseconds(200)
    private static let packetBytes = 1_448
    /// What may wait here before no more is read.
    private static let waitingBytesMax = 4 << 20

    private struct Piece {
        var due: NIODeadline
        var bytes: ByteBuffer
    }

    var link: Link?
    var input: (any Channel)?
    var output: (any Channel)?
    weak var connection: ProxyConnection?
    private let board: ProxyBoard
    private var waiting: [Piece] = []
    private var waitingBytes = 0
    /// Nothing more comes from the sender.
    private var hasEnded = false
    private var isStopped = false
    /// When the last piece is due, and when the line has carried everything so far.
    private var lastDue = NIODeadline.uptimeNanoseconds(0)
    private var free = NIODeadline.uptimeNanoseconds(0)
    private var wake: Scheduled<Void>?
    private var surrender: Scheduled<Void>?

    init(board: ProxyBoard, input: (any Channel)?) {
        self.board = board
        self.input = input
    }

    func receives(_ bytes: ByteBuffer) {
        guard !isStopped else { return }
        connection?.reads(bytes, of: self)
        if let link { board.passes(bytes.readableBytes, over: link) }
        waiting.append(Piece(due: due(bytes.readableBytes), bytes: bytes))
        waitingBytes += bytes.readableBytes
        if waitingBytes > ProxyStream.waitingBytesMax { setReading(false) }
        pump()
    }

    /// The sender has closed its end, or is gone.
    func ends() {
        hasEnded = true
        pump()
    }

    func stop() {
        isStopped = true
        wake?.cancel()
        surrender?.cancel()
        waiting.removeAll()
    }

    private func due(_ count: Int) -> NIODeadline {
        let now = NIODeadline.now()
        let condition = board.condition(of: link)
        guard condition != .open else { return now }
        var due = now + TimeAmount(condition.delay)
        if let rate = condition.bytesPerSecond {
            free = max(free, now) + .nanoseconds(Int64(count) * 1_000_000_000 / Int64(rate))
            due = max(due, free + TimeAmount(condition.delay))
        }
        let jitter = TimeAmount(condition.jitter).nanoseconds
        if jitter > 0 { due = due + .nanoseconds(Int64(board.draw(below: Int(jitter)))) }
        let packets = 1 + count / ProxyStream.packetBytes
        let isLost =
            condition.lossPerMille > 0
            && (0..<packets).contains { _ in board.draw(below: 1_000) < condition.lossPerMille }
        if isLost { due = due + ProxyStream.resendTime }
        if isLost || condition.lossPerMille == 0 { board.strikes(link) }
        // What comes behind a lost packet waits for it.
        lastDue = max(lastDue, due)
        return lastDue
    }

    /// Passes on what is due.
    func pump() {
        guard !isStopped, let output, let connection, connection.isKnown else { return }
        switch board.condition(of: link).passage {
        case .refused:
            board.strikes(link)
            return connection.close()
        case .silent:
            if surrender == nil, let input, !waiting.isEmpty { surrender = giveUpLater(on: input.eventLoop) }
            return
        case .open:
            surrender?.cancel()
            surrender = nil
        }
        let now = NIODeadline.now()
        let count = waiting.firstIndex { $0.due > now } ?? waiting.count
        for piece in waiting[..<count] {
            waitingBytes -= piece.bytes.readableBytes
            output.write(piece.bytes, promise: nil)
        }
        waiting.removeFirst(count)
        if count > 0 { output.flush() }
        if waitingBytes <= ProxyStream.waitingBytesMax / 2 { setReading(true) }
        wake?.cancel()
        if let next = waiting.first {
            let bound = NIOLoopBound(self, eventLoop: output.eventLoop)
            wake = output.eventLoop.scheduleTask(deadline: next.due) { bound.value.pump() }
        } else if hasEnded {
            connection.close()
        }
    }

    /// The sender's connection ends, and what it has sent is lost; the other end hears nothing of it before the cut is over.
    private func giveUpLater(on loop: any EventLoop) -> Scheduled<Void> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return loop.scheduleTask(in: ProxyStream.silenceMax) {
            let stream = bound.value
            guard !stream.isStopped else { return }
            stream.board.strikes(stream.link)
            stream.waiting.removeAll()
            stream.waitingBytes = 0
            stream.input?.close(promise: nil)
        }
    }

    private var isReading = true

    private func setReading(_ isOn: Bool) {
        guard isOn != isReading, let input else { return }
        isReading = isOn
        input.setOption(.autoRead, value: isOn).whenFailure { _ in input.close(promise: nil) }
    }
}

/// Hands what one end of a connection says to the stream that it belongs to.
final class ProxyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let stream: ProxyStream

    init(_ stream: ProxyStream) { self.stream = stream }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { stream.receives(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) {
        stream.ends()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
