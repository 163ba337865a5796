package import SwiftProtobuf

/// Why bytes are not the value that they were taken for. Bytes come from disks and networks, so this is an answer to
/// be handled, never a bug of ours.
package enum SchemaError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not a message of this kind, or one with a part missing or out of its range.
    case malformed(String)
    /// A well-formed message that says something which this build does not know: a newer enum value or case.
    case unknownValue(String)
    /// A command that a newer build wrote. Applied, it is a refusal; see `LogEnvelope`.
    case unknownCommand(version: UInt32)
    case tooLarge(bytes: Int, bytesMax: Int)

    package var description: String {
        switch self {
        case .malformed(let what): "malformed: \(what)"
        case .unknownValue(let what): "unknown value: \(what)"
        case .unknownCommand(let version): "command that this build does not know (version \(version))"
        case .tooLarge(let bytes, let bytesMax): "\(bytes) bytes where at most \(bytesMax) are allowed"
        }
    }
}

/// A value with one encoding: equal values encode to equal bytes, on every node and in every build that knows the same
/// fields.
package protocol SchemaCodable {
    init(schemaBytes: [UInt8]) throws(SchemaError)
    /// The same from borrowed bytes, without a copy of them.
    init(schemaSpan: RawSpan) throws(SchemaError)
    func schemaBytes() -> [UInt8]
}

/// A value that is encoded as a generated message. The conversions check what protobuf cannot: that parts are present,
/// numbers in range and enums known.
package protocol SchemaConvertible: SchemaCodable {
    associatedtype Schema: SwiftProtobuf.Message

    init(schema: Schema) throws(SchemaError)
    var schema: Schema { get }
}

extension SchemaCodable {
    package init(schemaBytes: [UInt8]) throws(SchemaError) {
        try self.init(schemaSpan: schemaBytes.span.bytes)
    }
}

extension SchemaConvertible {
    package init(schemaSpan: RawSpan) throws(SchemaError) {
        try self.init(schema: decodeMessage(schemaSpan, unknownFields: .ignored))
    }

    package func schemaBytes() -> [UInt8] { encodeMessage(schema) }
}

/// What becomes of fields that this build does not know.
package enum UnknownFields {
    /// An addition that old readers may overlook.
    case ignored
    /// Kept, so that the conversion sees and refuses them.
    case kept
}

/// Parses a message. The depth bound keeps a hostile message from exhausting the stack; the deepest of ours is 7.
package func decodeMessage<Message: SwiftProtobuf.Message>(
    _ bytes: RawSpan, unknownFields: UnknownFields
) throws(SchemaError) -> Message {
    var options = BinaryDecodingOptions()
    options.messageDepthLimit = SchemaLimits.messageDepthMax
    options.discardUnknownFields = unknownFields == .ignored
    do {
        return try Message(serializedBytes: bytes, extensions: nil, partial: true, options: options)
    } catch {
        throw .malformed("\(Message.protoMessageName): \(error)")
    }
}

/// Serializes a message. It can fail only for what our schema does not have (required fields, `Any`) and beyond 2 GiB,
/// which the limits of the model exclude.
package func encodeMessage(_ message: some SwiftProtobuf.Message) -> [UInt8] {
    do {
        return try message.serializedBytes(partial: true)
    } catch {
        preconditionFailure("\(type(of: message).protoMessageName) cannot be serialized: \(error)")
    }
}

package enum SchemaLimits {
    /// Messages within messages.
    package static let messageDepthMax = 16
}

extension SwiftProtobuf.Message {
    var hasUnknownFields: Bool { !unknownFields.data.isEmpty }

    /// Refuses what the parser kept aside. It keeps something only for messages where overlooking a field is not
    /// harmless (`UnknownFields.kept`).
    func refuseUnknownFields() throws(SchemaError) {
        guard !hasUnknownFields else { throw .unknownValue("a field of \(Self.protoMessageName)") }
    }
}

/// A narrow integer out of the wide one that protobuf has.
func narrowed<Narrow: FixedWidthInteger>(
    _ value: some FixedWidthInteger, _ what: StaticString
) throws(SchemaError) -> Narrow {
    guard let narrow = Narrow(exactly: value) else { throw .malformed("\(what) \(value) is out of range") }
    return narrow
}

/// The elements of a list, converted one by one. (`map` cannot carry a typed error through in every context.)
func converted<Item: SchemaConvertible>(_ messages: [Item.Schema]) throws(SchemaError) -> [Item] {
    var items: [Item] = []
    items.reserveCapacity(messages.count)
    for message in messages { items.append(try Item(schema: message)) }
    return items
}
