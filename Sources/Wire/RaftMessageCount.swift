internal import NIOCore

/// Counts the Raft messages of an encoded peer frame before it is parsed. An empty message takes two bytes in a frame and
/// fifty times as many in memory, so a frame within its limit could still ask for a gigabyte.
enum RaftMessageCount {
    /// False when there are more than `limit`. Bytes that are no protobuf count as none: the parser refuses them.
    static func isWithin(_ limit: Int, _ body: ByteBuffer) -> Bool {
        // Two bytes at least for each.
        guard body.readableBytes > limit * 2 else { return true }
        var frame = body
        var count = 0
        while let field = readField(&frame) {
            guard field.number == messagesField, var batch = field.content else { continue }
            while let field = readField(&batch) {
                if field.number == messageField { count += 1 }
                if count > limit { return false }
            }
        }
        return true
    }

    /// `PeerFrame.messages` and `RaftMessages.messages` in peer.proto.
    private static let messagesField: UInt64 = 2
    private static let messageField: UInt64 = 1

    /// The next field and, when it is length-delimited, what is in it. Nil at the end and before anything malformed.
    private static func readField(_ buffer: inout ByteBuffer) -> (number: UInt64, content: ByteBuffer?)? {
        guard let tag = readVarint(&buffer) else { return nil }
        let number = tag >> 3
        switch tag & 7 {
        case 0: return readVarint(&buffer) == nil ? nil : (number, nil)
        case 1: return buffer.readSlice(length: 8) == nil ? nil : (number, nil)
        case 2:
            guard let length = readVarint(&buffer), length <= UInt64(buffer.readableBytes) else { return nil }
            guard let content = buffer.readSlice(length: Int(length)) else { return nil }
            return (number, content)
        case 5: return buffer.readSlice(length: 4) == nil ? nil : (number, nil)
        default: return nil
        }
    }

    private static func readVarint(_ buffer: inout ByteBuffer) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
