import Dispatch
package import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Finds the addresses of a name for one attempt to connect, whatever becomes of other names. SwiftNIO's own resolver looks up one name after
/// the other on each event loop: a name for which no server answers, such as that of a machine that is gone, would hold up the
/// connections to all others.
package final class NameLookup: Resolver, Sendable {
    private let names: KnownNames
    private let ipv4: EventLoopPromise<[SocketAddress]>
    private let ipv6: EventLoopPromise<[SocketAddress]>

    package init(on loop: any EventLoop, of names: KnownNames = .ofSystem) {
        self.names = names
        ipv4 = loop.makePromise()
        ipv6 = loop.makePromise()
    }

    /// Comes first, and looks up both kinds.
    package func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        names.find(host, port: port) { [ipv4, ipv6] result in
            ipv4.completeWith(result.map { $0.filter { $0.protocol == .inet } })
            ipv6.completeWith(result.map { $0.filter { $0.protocol == .inet6 } })
        }
        return ipv6.futureResult
    }

    package func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { ipv4.futureResult }

    /// The system's lookup cannot be stopped.
    package func cancelQueries() {}
}

/// Names that are being looked up. A name that is under way is not looked up again: who asks for it waits for the same answer, so no more
/// threads wait for servers than there are names. An answer that takes longer than an attempt to connect serves the next attempt.
package final class KnownNames: Sendable {
    /// Blocks.
    package typealias Lookup = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]
    package typealias Answer = @Sendable (Result<[SocketAddress], any Error>) -> Void

    /// As the system's settings say: its file of hosts, DNS and so on.
    package static let ofSystem = KnownNames(lookup: addresses)

    private struct Place: Hashable {
        var host: String
        var port: Int
    }

    private struct State {
        var waiting: [Place: [Answer]] = [:]
        /// What came when those who had asked may have given up: for the next who asks.
        var late: [Place: (addresses: [SocketAddress], since: NIODeadline)] = [:]
    }

    /// An attempt to connect may have ended by then.
    private static let patience = TimeAmount.milliseconds(400)
    /// The next attempt begins within this.
    private static let lateMax = TimeAmount.seconds(3)

    private let lookup: Lookup
    private let state = Mutex(State())

    package init(lookup: @escaping Lookup) { self.lookup = lookup }

    /// - Parameter answer: called at once or on another thread.
    package func find(_ host: String, port: Int, _ answer: @escaping Answer) {
        let place = Place(host: host, port: port)
        let began = NIODeadline.now()
        let (kept, isFirst) = state.withLock { state -> ([SocketAddress]?, Bool) in
            if let late = state.late.removeValue(forKey: place), began - late.since < Self.lateMax {
                return (late.addresses, false)
            }
            state.waiting[place, default: []].append(answer)
            return (nil, state.waiting[place]?.count == 1)
        }
        if let kept { return answer(.success(kept)) }
        guard isFirst else { return }
        // A queue of its own has a thread of its own; the common ones have as many as there are cores.
        DispatchQueue(label: "name lookup").async { [self] in
            let result = Result { try lookup(host, port) }
            let answers = state.withLock { state in
                let now = NIODeadline.now()
                if case .success(let addresses) = result, now - began > Self.patience {
                    state.late[place] = (addresses, now)
                }
                return state.waiting.removeValue(forKey: place) ?? []
            }
            for answer in answers { answer(result) }
        }
    }
}

/// A name that has no address now.
package struct UnknownHost: Error, CustomStringConvertible {
    package var host: String
    /// As the system gives it.
    package var reason: String

    package init(host: String, reason: String) {
        self.host = host
        self.reason = reason
    }

    package var description: String { "the name \(host) has no address: \(reason)" }
}

/// getaddrinfo(3).
private func addresses(of host: String, port: Int) throws -> [SocketAddress] {
    var hints = addrinfo()
    #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
        hints.ai_socktype = SOCK_STREAM
    #endif
    var first: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, "\(port)", &hints, &first)
    guard status == 0 else { throw UnknownHost(host: host, reason: String(cString: gai_strerror(status))) }
    defer { freeaddrinfo(first) }
    var found: [SocketAddress] = []
    var next = first
    while let entry = next?.pointee {
        next = entry.ai_next
        guard let address = UnsafeRawPointer(entry.ai_addr) else { continue }
        switch entry.ai_family {
        case AF_INET: found.append(SocketAddress(address.loadUnaligned(as: sockaddr_in.self), host: host))
        case AF_INET6: found.append(SocketAddress(address.loadUnaligned(as: sockaddr_in6.self), host: host))
        default: break
        }
    }
    return found
}
