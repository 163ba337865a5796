import Foundation
import MetadataModel
import NIOCore
import Wire

/// Reads through one node and no other, where the library would go to the leader. Blocking, one request at a time.
final class DirectReader {
    private let descriptor: Int32
    private var decoder = FrameDecoder(kind: .client, side: .dialler)
    private var lastID: UInt64 = 0

    /// Connects and says hello.
    init(port: UInt16, patience: Duration = .seconds(5)) throws {
        descriptor = try connectedSocket(port: port, patience: patience)
        try write(ConnectionPreamble.bytes(for: .client))
        guard case .hello = try ask(.hello(ClientHello(clusterID: "", clientName: "direct"))) else {
            throw LocalCluster.HarnessFailure(description: "port \(port) does not answer hello")
        }
    }

    deinit { close(descriptor) }

    /// The value of a configuration key of the cluster; nil when the node refuses to read now.
    func config(_ name: String, _ consistency: ReadConsistency) throws -> String? {
        let request = ReadRequest(
            query: .configs(.cluster, after: nil, limit: 100), consistency: consistency, timeoutMilliseconds: 2_000)
        switch try ask(.read(request)) {
        case .read(.configs(let page), _): return page.items.first { $0.name == name }?.value ?? ""
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

/// A connection to a port of this machine; what is waited for longer than `patience` fails.
func connectedSocket(port: UInt16, patience: Duration = .seconds(5)) throws -> Int32 {
    let descriptor = socket(AF_INET, streamSocketType, 0)
    var limit = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
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
