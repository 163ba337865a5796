import Foundation
import Synchronization

/// A port on loopback from which every connection is passed on to an address in a network namespace, by blocking threads that
/// make their sockets there.
///
/// Whoever connects is accepted first: when nobody listens in the namespace the connection is closed at once.
final class PortRelay: Sendable {
    private struct State {
        var target: RelayTarget
        var isClosed = false
        /// Both ends of each connection, by the number of the connection.
        var open: [Int: [Int32]] = [:]
    }

    private let listener: Int32
    private let namespace: NetworkNamespace
    private let state: Mutex<State>

    /// Listens at once.
    ///
    /// - Parameter namespace: from where the target is reached.
    init(port: UInt16, to target: RelayTarget, in namespace: NetworkNamespace) throws {
        self.namespace = namespace
        state = Mutex(State(target: target))
        listener = socket(AF_INET, streamSocketType, 0)
        var on: Int32 = 1
        _ = setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let bound = RelayTarget(host: "127.0.0.1", port: port).withAddress { bind(listener, $0, $1) }
        guard listener >= 0, bound == 0, listen(listener, 128) == 0 else {
            let code = errno
            _ = Foundation.close(listener)
            throw LocalCluster.HarnessFailure(description: "no relay on port \(port): errno \(code)")
        }
        start("relay-\(port)") { $0.acceptAll() }
    }

    /// From now on new connections go there; those to the former place end.
    func moves(to target: RelayTarget) {
        state.withLock { state in
            state.target = target
            for descriptor in state.open.values.joined() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    func close() {
        state.withLock { state in
            state.isClosed = true
            for descriptor in state.open.values.joined() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
        // A blocked accept returns with an error.
        _ = shutdown(listener, Int32(SHUT_RDWR))
    }

    private func start(_ name: String, _ body: @escaping @Sendable (PortRelay) -> Void) {
        let thread = Thread { [self] in body(self) }
        thread.name = name
        thread.start()
    }

    private func acceptAll() {
        var number = 0
        while true {
            let client = accept(listener, nil, nil)
            if client < 0 {
                if errno == EINTR { continue }
                break
            }
            number += 1
            start("relay-\(number)") { [number] in $0.serve(number, client) }
        }
        _ = Foundation.close(listener)
    }

    /// Ends when both directions have: until then each uses both descriptors.
    private func serve(_ number: Int, _ client: Int32) {
        defer { _ = Foundation.close(client) }
        let target = state.withLock { $0.target }
        guard namespace.enter(), let server = target.connectedSocket() else { return }
        defer { _ = Foundation.close(server) }
        let isPassing = state.withLock { state in
            if !state.isClosed, state.target == target { state.open[number] = [client, server] }
            return state.open[number] != nil
        }
        guard isPassing else { return }
        let isDone = DispatchSemaphore(value: 0)
        start("relay-\(number)-back") { _ in
            pump(server, client)
            isDone.signal()
        }
        pump(client, server)
        isDone.wait()
        state.withLock { $0.open[number] = nil }
    }
}

/// Where a relay leads.
struct RelayTarget: Hashable, Sendable {
    var host: String
    var port: UInt16

    func withAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr(host)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// A connection from the namespace of this thread; nil when nobody answers for a few seconds.
    func connectedSocket() -> Int32? {
        let descriptor = socket(AF_INET, streamSocketType, 0)
        // It holds for connecting; what is sent may wait for ever.
        setSendTimeout(of: descriptor, seconds: 5)
        guard withAddress({ Foundation.connect(descriptor, $0, $1) }) == 0 else {
            _ = Foundation.close(descriptor)
            return nil
        }
        setSendTimeout(of: descriptor, seconds: 0)
        var on: Int32 = 1
        _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    private func setSendTimeout(of descriptor: Int32, seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
}

/// Passes bytes on until one side ends, and ends both then.
private func pump(_ from: Int32, _ to: Int32) {
    defer { for descriptor in [from, to] { _ = shutdown(descriptor, Int32(SHUT_RDWR)) } }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = read(from, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        var offset = 0
        while offset < count {
            let written = buffer.withUnsafeBytes { write(to, $0.baseAddress.map { $0 + offset }, count - offset) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            offset += written
        }
    }
}
