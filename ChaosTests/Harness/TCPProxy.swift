import Foundation
import Synchronization

/// Stands between the members of a cluster and one of them, on loopback: passes bytes on, counts them, and can be cut.
///
/// A node behind it listens on `target` and is known to the others under `port`.
final class TCPProxy: Sendable {
    private struct State {
        var isCut = false
        var isClosed = false
        /// Bytes towards the target.
        var bytesForward = 0
        var accepted = 0
        /// Both ends of each connection, by the number of the connection.
        var open: [Int: [Int32]] = [:]
    }

    let port: UInt16
    private let target: UInt16
    private let listener: Int32
    private let state = Mutex(State())

    /// Listens at once, on a port that the system chooses.
    init(target: UInt16) throws {
        self.target = target
        let (descriptor, port) = try TCPProxy.listen()
        listener = descriptor
        self.port = port
        let thread = Thread { [self] in acceptAll() }
        thread.name = "proxy"
        thread.start()
    }

    var bytesForward: Int { state.withLock { $0.bytesForward } }
    /// Connections that were let through so far.
    var accepted: Int { state.withLock { $0.accepted } }

    /// Breaks all connections, and every new one as soon as it is made, until `heal`.
    func cut() {
        state.withLock { state in
            state.isCut = true
            for descriptor in state.open.values.joined() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    func heal() { state.withLock { $0.isCut = false } }

    func close() {
        cut()
        state.withLock { $0.isClosed = true }
        // A blocked accept returns with an error.
        _ = shutdown(listener, Int32(SHUT_RDWR))
    }

    private func acceptAll() {
        var number = 0
        while true {
            let client = accept(listener, nil, nil)
            if client < 0 {
                if errno == EINTR { continue }
                break
            }
            let isPassing = state.withLock { !$0.isCut }
            guard isPassing, let server = TCPProxy.connect(to: target) else {
                _ = Foundation.close(client)
                continue
            }
            number += 1
            begin(number, client, server)
        }
        _ = Foundation.close(listener)
    }

    private func begin(_ number: Int, _ client: Int32, _ server: Int32) {
        let isPassing = state.withLock { state in
            guard !state.isCut else { return false }
            state.accepted += 1
            state.open[number] = [client, server]
            return true
        }
        guard isPassing else {
            _ = Foundation.close(client)
            _ = Foundation.close(server)
            return
        }
        // The descriptors are closed when both directions have ended: not while the other still uses them.
        let ends = Mutex(0)
        for (from, to, isForward) in [(client, server, true), (server, client, false)] {
            let thread = Thread { [self] in
                pump(from, to, isForward)
                _ = shutdown(from, Int32(SHUT_RDWR))
                _ = shutdown(to, Int32(SHUT_RDWR))
                let isLast = ends.withLock { count in
                    count += 1
                    return count == 2
                }
                guard isLast else { return }
                state.withLock { $0.open[number] = nil }
                _ = Foundation.close(client)
                _ = Foundation.close(server)
            }
            thread.name = "proxy-\(number)"
            thread.start()
        }
    }

    private func pump(_ from: Int32, _ to: Int32, _ isForward: Bool) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(from, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            if isForward { state.withLock { $0.bytesForward += count } }
            var offset = 0
            while offset < count {
                let written = buffer.withUnsafeBytes { write(to, $0.baseAddress.map { $0 + offset }, count - offset) }
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { return }
                offset += written
            }
        }
    }

    private static func listen() throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, streamSocketType, 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let (result, address) = withLoopback(port: 0) { address in
            guard bind(descriptor, address, length) == 0, Foundation.listen(descriptor, 64) == 0 else {
                return Int32(-1)
            }
            return getsockname(descriptor, address, &length)
        }
        guard descriptor >= 0, result == 0 else {
            throw LocalCluster.HarnessFailure(description: "the proxy cannot listen: errno \(errno)")
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    private static func connect(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, streamSocketType, 0)
        let (result, _) = withLoopback(port: port) { address in
            Foundation.connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
        guard result == 0 else {
            _ = Foundation.close(descriptor)
            return nil
        }
        var on: Int32 = 1
        _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    private static func withLoopback(
        port: UInt16, _ body: (UnsafeMutablePointer<sockaddr>) -> Int32
    ) -> (result: Int32, address: sockaddr_in) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
        }
        return (result, address)
    }
}
