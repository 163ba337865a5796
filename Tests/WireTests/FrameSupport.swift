import NIOCore
import Testing
import Wire

extension ClientRequestFrame {
    /// The whole frame, length included.
    func frame() throws(WireError) -> [UInt8] {
        var buffer = ByteBuffer()
        try encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }
}

extension ClientResponseFrame {
    func frame() -> [UInt8] {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }
}

extension PeerFrame {
    func frame() -> [UInt8] {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }
}

/// The body of a whole frame, as `FrameDecoder` would hand it out.
func body(of frame: [UInt8]) -> ByteBuffer { ByteBuffer(bytes: frame.dropFirst(WireLimits.lengthPrefixBytes)) }

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in byte < 16 ? "0" + String(byte, radix: 16) : String(byte, radix: 16) }.joined()
}
