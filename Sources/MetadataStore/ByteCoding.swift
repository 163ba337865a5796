internal import MetadataModel

/// Appends big-endian numbers and length-prefixed parts: big-endian, so that keys sort as bytes like they do as values.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    var count: Int { bytes.count }

    mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(raw: some Sequence<UInt8>) {
        bytes.append(contentsOf: raw)
    }

    /// A two-byte length and the UTF-8 bytes. The model's limits keep names far below 64 KiB.
    mutating func append(shortText text: String) {
        precondition(text.utf8.count <= UInt16.max, "a name of \(text.utf8.count) bytes exceeds \(UInt16.max)")
        append(UInt16(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// A four-byte length and the bytes.
    mutating func append(long part: some Collection<UInt8>) {
        precondition(part.count <= Int(UInt32.max), "a part of \(part.count) bytes exceeds \(UInt32.max)")
        append(UInt32(part.count))
        bytes.append(contentsOf: part)
    }

    mutating func append(_ brokers: [BrokerID]) {
        precondition(brokers.count <= UInt16.max, "\(brokers.count) brokers in one list exceed \(UInt16.max)")
        append(UInt16(brokers.count))
        for broker in brokers { append(broker.rawValue) }
    }

    mutating func append(_ topic: TopicID) {
        append(topic.high)
        append(topic.low)
    }

    /// Puts a length where `count` was when its four bytes were reserved.
    mutating func fillLength(at offset: Int) {
        let length = UInt32(bytes.count - offset - 4)
        withUnsafeBytes(of: length.bigEndian) { source in
            for position in 0..<4 { bytes[offset + position] = source[position] }
        }
    }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }
}

/// Reads what `ByteWriter` wrote. Bytes come from a disk: every step is checked, nothing is asserted.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    /// Names the bytes in errors.
    private let what: StaticString

    init(_ bytes: UnsafeRawBufferPointer, _ what: StaticString) {
        self.bytes = bytes
        self.what = what
    }

    var remaining: Int { bytes.count - offset }
    var position: Int { offset }

    mutating func take(_ count: Int) throws(StoreError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else {
            throw .corrupt(what: "\(what) ends early: \(count) bytes wanted at \(offset), \(remaining) left")
        }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    mutating func integer<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self
    ) throws(StoreError) -> Value {
        let part = try take(MemoryLayout<Value>.size)
        return Value(bigEndian: part.loadUnaligned(as: Value.self))
    }

    mutating func text(count: Int) throws(StoreError) -> String {
        let part = try take(count)
        guard let text = String(validating: part, as: UTF8.self) else { throw .corrupt(what: "\(what) is not UTF-8") }
        return text
    }

    mutating func shortText() throws(StoreError) -> String {
        let count = try integer(UInt16.self)
        return try text(count: Int(count))
    }

    mutating func long() throws(StoreError) -> UnsafeRawBufferPointer {
        let count = try integer(UInt32.self)
        return try take(Int(count))
    }

    mutating func brokers() throws(StoreError) -> [BrokerID] {
        let count = try integer(UInt16.self)
        return try brokerList(take(Int(count) * 4))
    }

    mutating func topic() throws(StoreError) -> TopicID {
        let high = try integer(UInt64.self)
        return TopicID(high: high, low: try integer(UInt64.self))
    }

    /// Trailing bytes mean that the reader and the writer do not speak of the same thing.
    func end() throws(StoreError) {
        guard remaining == 0 else { throw .corrupt(what: "\(what) has \(remaining) bytes too many") }
    }
}

/// A packed list of broker ids, four bytes each.
func brokerList(_ bytes: UnsafeRawBufferPointer) throws(StoreError) -> [BrokerID] {
    guard bytes.count % 4 == 0 else { throw .corrupt(what: "a list of brokers has \(bytes.count) bytes") }
    var brokers: [BrokerID] = []
    brokers.reserveCapacity(bytes.count / 4)
    for offset in stride(from: 0, to: bytes.count, by: 4) {
        brokers.append(BrokerID(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))))
    }
    return brokers
}
