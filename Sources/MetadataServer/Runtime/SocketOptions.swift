import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What TCP does about a host that is silent.
extension ChannelOption where Self == ChannelOptions.Types.SocketOption {
    /// Milliseconds that written bytes may stay unacknowledged before the connection is given up (RFC 5482).
    static var userTimeout: Self {
        #if os(Linux)
            tcp(TCP_USER_TIMEOUT)
        #else
            tcp(TCP_CONNECTIONTIMEOUT)
        #endif
    }

    /// Seconds without a byte after which the other side is probed (RFC 1122, 4.2.3.6).
    static var keepaliveIdleSeconds: Self {
        #if os(Linux)
            tcp(TCP_KEEPIDLE)
        #else
            tcp(TCP_KEEPALIVE)
        #endif
    }

    /// Seconds between two probes.
    static var keepaliveIntervalSeconds: Self { tcp(TCP_KEEPINTVL) }

    /// So many probes without an answer end the connection.
    static var keepaliveProbes: Self { tcp(TCP_KEEPCNT) }

    private static func tcp(_ name: CInt) -> Self { .init(level: .tcp, name: .init(rawValue: name)) }
}
