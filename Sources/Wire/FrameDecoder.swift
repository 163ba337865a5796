package import NIOCore

/// Cuts the bytes of one connection into frames. Pure: bytes in, frames out, so that a channel handler can take all
/// frames of a read in one loop.
///
/// A length is compared with its limit before anything is allocated for it, and memory grows with what has arrived,
/// never with what was announced. Complete frames are slices of the buffer that was read: nothing is copied unless a
/// frame arrives in pieces.
package struct FrameDecoder: Sendable {
    private enum State {
        /// Nothing but the preamble may come. Exits: `hello`, `failed`.
        case preamble
        /// The first frame, held to `WireLimits.helloBytesMax`. Exits: `frames`, `failed`.
        case hello
        /// Exit: `failed`.
        case frames
        /// The stream is lost: where the next frame begins cannot be known. Final.
        case failed(WireError)
    }

    package let kind: ConnectionKind
    package let side: Side
    private var state: State
    /// Bytes that arrived and belong to no frame yet.
    private var pending: ByteBuffer

    /// Which end of the connection reads.
    package enum Side: Hashable, Sendable {
        /// Reads what the dialling side sends: the preamble first.
        case listener
        /// Reads the answers, which begin with a frame.
        case dialler
    }

    package init(kind: ConnectionKind, side: Side = .listener) {
        self.kind = kind
        self.side = side
        switch side {
        case .listener: state = .preamble
        case .dialler: state = .hello
        }
        pending = ByteBuffer()
    }

    /// Takes what was read from the connection; `buffer` is left empty.
    package mutating func append(_ buffer: inout ByteBuffer) {
        if pending.readableBytes == 0 {
            pending = buffer
        } else {
            // The front of `pending` holds frames that were handed out: drop it, so that it is not carried along.
            pending.discardReadBytes()
            pending.writeImmutableBuffer(buffer)
        }
        buffer = ByteBuffer()
    }

    /// The body of the next frame, or nil until more bytes arrive. After an error every call repeats it.
    package mutating func next() throws(WireError) -> ByteBuffer? {
        while true {
            switch state {
            case .failed(let error): throw error
            case .preamble:
                guard try takePreamble() else { return nil }
                state = .hello
            case .hello:
                if let stranger = strangerAnswering() { throw fail(.notOurProtocol(stranger)) }
                guard let frame = try takeFrame(bytesMax: WireLimits.helloBytesMax) else { return nil }
                state = .frames
                return frame
            case .frames: return try takeFrame(bytesMax: kind.frameBytesMax)
            }
        }
    }

    /// Bytes that wait for the rest of their frame.
    package var pendingBytes: Int { pending.readableBytes }

    /// The memory that is held for them.
    package var pendingCapacity: Int { pending.capacity }

    private mutating func takePreamble() throws(WireError) -> Bool {
        switch ConnectionPreamble.parse(pending.readableBytesView, kind: kind) {
        case .ok:
            pending.moveReaderIndex(forwardBy: ConnectionPreamble.byteCount)
            return true
        case .needMore: return false
        case .garbage(let reason): throw fail(.notOurProtocol(reason))
        case .unsupportedVersion(let theirs):
            throw fail(.unsupportedVersion(theirs: theirs, ours: ConnectionPreamble.version))
        }
    }

    /// What answered a dialler if it was no node of ours: known by a first length that no hello has.
    private func strangerAnswering() -> String? {
        guard side == .dialler, let length = pending.getInteger(at: pending.readerIndex, as: UInt32.self),
            length > WireLimits.helloBytesMax
        else { return nil }
        return ConnectionPreamble.guess(pending.readableBytesView, kind: kind)
    }

    private mutating func takeFrame(bytesMax: Int) throws(WireError) -> ByteBuffer? {
        guard let announced = pending.getInteger(at: pending.readerIndex, as: UInt32.self) else { return nil }
        let length = Int(announced)
        guard length <= bytesMax else { throw fail(.frameTooLarge(bytes: length, bytesMax: bytesMax)) }
        guard length > 0 else { throw fail(.malformed("empty")) }
        guard pending.readableBytes >= WireLimits.lengthPrefixBytes + length else { return nil }
        pending.moveReaderIndex(forwardBy: WireLimits.lengthPrefixBytes)
        return pending.readSlice(length: length)
    }

    private mutating func fail(_ error: WireError) -> WireError {
        state = .failed(error)
        pending = ByteBuffer()
        return error
    }
}
