internal import MetadataSchema
internal import NIOCore
internal import SwiftProtobuf

extension ByteBuffer {
    /// Writes a frame: the length, then the body.
    mutating func writeFrame(body: [UInt8]) {
        reserveCapacity(minimumWritableBytes: WireLimits.lengthPrefixBytes + body.count)
        writeInteger(UInt32(body.count))
        writeBytes(body)
    }

    /// Parses the readable bytes. Fields that this build does not know are additions that it may overlook.
    func message<Message: SwiftProtobuf.Message>(of type: Message.Type) throws(WireError) -> Message {
        do {
            return try decodeMessage(readableBytesSpan, unknownFields: .ignored)
        } catch {
            throw WireError(error)
        }
    }
}

extension WireError {
    init(_ error: SchemaError) {
        switch error {
        case .malformed(let what): self = .malformed(what)
        case .unknownValue(let what): self = .unknownValue(what)
        case .unknownCommand(let version): self = .unknownValue("command version \(version)")
        case .tooLarge(let bytes, let bytesMax): self = .frameTooLarge(bytes: bytes, bytesMax: bytesMax)
        }
    }

    /// Runs a conversion of the schema and reports its failure as ours.
    static func converting<Value>(_ body: () throws(SchemaError) -> Value) throws(WireError) -> Value {
        do {
            return try body()
        } catch {
            throw WireError(error)
        }
    }
}
