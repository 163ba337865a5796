import Foundation
import MetadataClient
import MetadataModel
import NIOCore
import Wire

/// Reads through one node and no other, where the library would go to the leader. Blocking, one request at a time.
final class DirectReader {
    private let descriptor: Int32
    private var decoder = FrameDecoder(kind: .client, side: .dialler)
    private var lastID: UInt64 = 0

    /// Connects and says hello.
    convenience init(port: UInt16, patience: Duration = .seconds(5)) throws {
        try self.init(MetadataClient.Endpoint(host: "127.0.0.1", port: port), patience: patience)
    }

    /// - Parameter patience: how long anything may take, connecting included.
    init(_ endpoint: MetadataClient.Endpoint, patience: Duration = .seconds(5)) throws {
        descriptor = try connectedSocket(host: endpoint.host, port: endpoint.port, patience: patience)
        try write(ConnectionPreamble.bytes(for: .client))
        guard case .hello = try ask(.hello(ClientHello(clusterID: "", clientName: "direct"))) else {
            throw LocalCluster.HarnessFailure(description: "\(endpoint) does not answer hello")
        }
    }

    deinit { close(descriptor) }

    /// The value of a configuration key of the cluster; nil when the node refuses to read now.
    func config(_ name: String, _ consistency: ReadConsistency) throws -> String? {
        switch try answer(.configs(.cluster, after: nil, limit: 100), consistency) {
        case .configs(let page): return page.items.first { $0.name == name }?.value ?? ""
        case nil: return nil
        case let other?: throw LocalCluster.HarnessFailure(description: "a read was answered with \(other)")
        }
    }

    /// The answer to any question; nil when the node refuses to read now.
    func answer(
        _ query: Query, _ consistency: ReadConsistency, timeout: Duration = .seconds(2)
    ) throws -> QueryResult? {
        let (seconds, attoseconds) = timeout.components
        let milliseconds = UInt32(seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
        let request = ReadRequest(query: query, consistency: consistency, timeoutMilliseconds: milliseconds)
        switch try ask(.read(request)) {
        case .read(let result, _): return result
        case .failure: return nil
        case let other: throw LocalCluster.HarnessFailure(description: "a read was answered with \(other)")
        }
    }

    private func ask(_ request: ClientRequest) throws -> ClientResponse {
        lastID += 1
        var frame = ByteBuffer()
        try ClientRequestFrame(id: lastID, request: request).encode(into: &frame)
        try write(Array(frame.readableBytesView))
        while true {
            if let body = try decoder.next() {
                let answer = try ClientResponseFrame(decoding: body)
                if answer.id == lastID { return answer.response }
                continue
            }
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { throw LocalCluster.HarnessFailure(description: "no answer: errno \(errno)") }
            var buffer = ByteBuffer(bytes: bytes[..<count])
            decoder.append(&buffer)
        }
    }

    private func write(_ bytes: [UInt8]) throws {
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw LocalCluster.HarnessFailure(description: "cannot send: errno \(errno)")
        }
    }
}

/// A connection to a port, of this machine if nothing else is said; what is waited for longer than `patience` fails.
func connectedSocket(host: String = "127.0.0.1", port: UInt16, patience: Duration = .seconds(5)) throws -> Int32 {
    let descriptor = socket(AF_INET, streamSocketType, 0)
    let (seconds, attoseconds) = patience.components
    var limit = timeval(tv_sec: Int(seconds), tv_usec: suseconds_t(attoseconds / 1_000_000_000_000))
    // The time to send also limits the time to connect.
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
        close(descriptor)
        throw LocalCluster.HarnessFailure(description: "\(host) is no address")
    }
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else {
        close(descriptor)
        throw LocalCluster.HarnessFailure(description: "cannot connect to port \(port): errno \(errno)")
    }
    return descriptor
}
