internal import NIOCore
internal import RaftCore
internal import Wire

/// Sends values through the shipped encoding and back.
enum WireRoundTrip {
    static func messages(_ messages: [Message]) throws(Violation) -> [Message] {
        var buffer = ByteBufferAllocator().buffer(capacity: 1_024)
        PeerFrame.messages(messages).encode(into: &buffer)
        // The length, which the decoder of a connection takes off.
        buffer.moveReaderIndex(forwardBy: MemoryLayout<UInt32>.size)
        do {
            guard case .messages(let received, traced: []) = try PeerFrame(decoding: buffer) else {
                throw Violation(rule: "wire", detail: "\(messages.count) messages came back as something else")
            }
            guard received == messages else {
                throw Violation(rule: "wire", detail: "\(messages) came back as \(received)")
            }
            return received
        } catch let violation as Violation {
            throw violation
        } catch {
            throw Violation(rule: "wire", detail: "\(messages) did not come back: \(error)")
        }
    }
}
