/// Why bytes from a connection are not what the protocol says. The connection is closed; nothing is ever asserted about
/// bytes that came from a network.
package enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first bytes are not those of our protocol; the text guesses what they are.
    case notOurProtocol(String)
    /// The other end speaks our protocol in a version that this build does not.
    case unsupportedVersion(theirs: UInt8, ours: UInt8)
    /// Announced or encoded, beyond the limit. Found out before anything is allocated for it.
    case frameTooLarge(bytes: Int, bytesMax: Int)
    /// A frame that is no message of its kind, or one with a part missing or out of its range.
    case malformed(String)
    /// A well-formed frame that says something which this build does not know.
    case unknownValue(String)

    package var description: String {
        switch self {
        case .notOurProtocol(let guess): "not our protocol: \(guess)"
        case .unsupportedVersion(let theirs, let ours): "protocol version \(theirs) is not supported, only \(ours)"
        case .frameTooLarge(let bytes, let bytesMax): "frame of \(bytes) bytes where at most \(bytesMax) are allowed"
        case .malformed(let what): "malformed frame: \(what)"
        case .unknownValue(let what): "unknown value in frame: \(what)"
        }
    }
}
