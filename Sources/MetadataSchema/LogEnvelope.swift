package import MetadataModel

/// The payload of a `.command` log entry: what the proposer knew (time, session) in front of the encoded command.
///
/// ```
/// offset  bytes
///      0      1  version, 1
///      1      1  flags: bit 0 set when the write belongs to a session; the others are zero
///      2      8  log time in milliseconds
///     10      8  session id, zero without a session
///     18      8  sequence number within the session
///     26      8  acknowledged below: the client has the outcomes of all smaller sequence numbers
///     34      -  the Command message (metadata.proto)
/// ```
///
/// Integers are little-endian. The header is fixed and flat so that a leader can wrap a client's command bytes without
/// parsing them, and so that a command which nobody understands still has a session to answer to.
package struct LogEnvelope: Hashable, Sendable {
    package var timeMilliseconds: UInt64
    /// Nil: a write outside of any session.
    package var session: SessionID?
    package var sequence: UInt64
    package var acknowledgedBelow: UInt64
    /// A `Command` as `schemaBytes()` gives it; possibly one that this build does not understand.
    package var commandBytes: [UInt8]

    package static let version: UInt8 = 1
    package static let headerBytes = 34

    static let sessionFlag: UInt8 = 1

    package init(
        timeMilliseconds: UInt64, session: SessionID?, sequence: UInt64, acknowledgedBelow: UInt64,
        commandBytes: [UInt8]
    ) {
        self.timeMilliseconds = timeMilliseconds
        self.session = session
        self.sequence = sequence
        self.acknowledgedBelow = acknowledgedBelow
        self.commandBytes = commandBytes
    }

    package init(decoding payload: [UInt8]) throws(SchemaError) {
        let header = try LogEnvelopeHeader(decoding: payload)
        self.init(
            timeMilliseconds: header.timeMilliseconds, session: header.session, sequence: header.sequence,
            acknowledgedBelow: header.acknowledgedBelow, commandBytes: Array(payload[LogEnvelope.headerBytes...]))
    }

    /// The bytes, in one allocation.
    package func encoded() -> [UInt8] {
        let count = LogEnvelope.headerBytes + commandBytes.count
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            bytes[0] = LogEnvelope.version
            bytes[1] = session == nil ? 0 : LogEnvelope.sessionFlag
            bytes.storeBytes(of: timeMilliseconds.littleEndian, toByteOffset: 2, as: UInt64.self)
            bytes.storeBytes(of: (session?.rawValue ?? 0).littleEndian, toByteOffset: 10, as: UInt64.self)
            bytes.storeBytes(of: sequence.littleEndian, toByteOffset: 18, as: UInt64.self)
            bytes.storeBytes(of: acknowledgedBelow.littleEndian, toByteOffset: 26, as: UInt64.self)
            UnsafeMutableRawBufferPointer(rebasing: bytes[LogEnvelope.headerBytes..<count]).copyBytes(
                from: commandBytes)
            initializedCount = count
        }
    }

    /// The command, or nil when this build does not understand it: a deterministic refusal, never a failure.
    package func command() -> Command? {
        do {
            return try Command(schemaBytes: commandBytes)
        } catch {
            return nil
        }
    }
}

/// The fixed part of a `LogEnvelope`.
struct LogEnvelopeHeader {
    let timeMilliseconds: UInt64
    let session: SessionID?
    let sequence: UInt64
    let acknowledgedBelow: UInt64

    init(decoding payload: [UInt8]) throws(SchemaError) {
        guard payload.count >= LogEnvelope.headerBytes else {
            throw .malformed("log envelope of \(payload.count) bytes is shorter than its header")
        }
        guard payload[0] == LogEnvelope.version else { throw .unknownValue("log envelope version \(payload[0])") }
        let flags = payload[1]
        guard flags & ~LogEnvelope.sessionFlag == 0 else { throw .unknownValue("log envelope flags \(flags)") }
        let bytes = payload.span.bytes
        func integer(at offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        timeMilliseconds = integer(at: 2)
        let sessionNumber = integer(at: 10)
        session = flags & LogEnvelope.sessionFlag == 0 ? nil : SessionID(sessionNumber)
        guard session != nil || sessionNumber == 0 else {
            throw .malformed("log envelope with session \(sessionNumber) and no session flag")
        }
        sequence = integer(at: 18)
        acknowledgedBelow = integer(at: 26)
    }
}
