import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A listener could not be opened. The message names the setting to change.
package struct ListenError: Error, Equatable, CustomStringConvertible {
    package var address: NetworkAddress
    package var cause: String
    package var advice: String

    /// - Parameters:
    ///   - portKey: the setting that has the port.
    ///   - hostKey: the setting that has the host; often the same.
    package init(_ error: any Error, address: NetworkAddress, portKey: String, hostKey: String) {
        self.address = address
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE:
            cause = "the address is in use"
            advice = "change \(portKey), or stop the program that uses the port"
        case EADDRNOTAVAIL:
            cause = "no interface of this machine has the address"
            advice = "change \(hostKey)"
        case EACCES:
            cause = "ports below 1024 need a privilege that this process does not have"
            advice = "change \(portKey)"
        default:
            cause = "\(error)"
            advice = "look at \(hostKey)"
        }
    }

    package var description: String { "cannot listen on \(address): \(cause); \(advice)" }
}
