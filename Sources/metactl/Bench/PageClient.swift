import Foundation

/// Asks for one page again and again over one connection: little enough of its own for latencies below a millisecond.
final class PageClient {
    private let descriptor: Int32
    private let request: [UInt8]
    private var buffer: [UInt8] = []

    /// - Parameter base: such as `http://127.0.0.1:8081`.
    init(base: String, path: String) throws {
        guard let url = URL(string: base), let host = url.host(), let port = url.port else {
            throw CommandFailure.usage("\(base) is not http://host:port")
        }
        descriptor = try Self.connected(host: host, port: port)
        request = Array("GET \(path) HTTP/1.1\r\nHost: \(host):\(port)\r\nUser-Agent: metactl\r\n\r\n".utf8)
    }

    deinit { close(descriptor) }

    /// Asks and waits for the whole answer.
    ///
    /// - Returns: its status.
    func ask() throws -> Int {
        var sent = 0
        while sent < request.count {
            let count = request[sent...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw failure("sending") }
            sent += count
        }
        let (head, rest) = try readHead()
        guard let status = head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }),
            let length = head.lowercased().firstMatch(of: /content-length: *([0-9]+)/).flatMap({ Int($0.1) })
        else { throw CommandFailure.unavailable(code: "not_http", "not an answer with a length: \(head.prefix(80))") }
        var missing = length - rest
        while missing > 0 { missing -= try receive().count }
        return status
    }

    /// - Returns: the head of the answer, and how many bytes of the body came with it.
    private func readHead() throws -> (head: String, body: Int) {
        buffer.removeAll(keepingCapacity: true)
        let end: [UInt8] = Array("\r\n\r\n".utf8)
        while buffer.count < 1 << 16 {
            buffer += try receive()
            guard let range = buffer.firstRange(of: end) else { continue }
            return (String(decoding: buffer[..<range.lowerBound], as: UTF8.self), buffer.count - range.upperBound)
        }
        throw CommandFailure.unavailable(code: "not_http", "the head of the answer does not end")
    }

    private func receive() throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { throw failure("waiting for an answer") }
        return Array(chunk[..<count])
    }

    private func failure(_ what: String) -> CommandFailure {
        .unavailable(
            code: "page_unanswered", "\(what): \(errno == 0 ? "the node hung up" : String(cString: strerror(errno)))")
    }

    private static func connected(host: String, port: Int) throws -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = streamSocketType
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &found) == 0, let found else {
            throw CommandFailure.unavailable(code: "page_unanswered", "\(host) has no address")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(found.pointee.ai_family, found.pointee.ai_socktype, found.pointee.ai_protocol)
        guard descriptor >= 0 else {
            throw CommandFailure.unavailable(code: "local_failure", String(cString: strerror(errno)))
        }
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard connect(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0 else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw CommandFailure.unavailable(code: "page_unanswered", "\(host):\(port): \(reason)")
        }
        return descriptor
    }
}

#if canImport(Glibc)
    private let streamSocketType = Int32(SOCK_STREAM.rawValue)
#else
    private let streamSocketType = SOCK_STREAM
#endif
