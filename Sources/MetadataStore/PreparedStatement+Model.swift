internal import MetadataModel

// How the model's keys and lists stand in columns (docs/formats/database.md).
extension PreparedStatement {
    /// 16 bytes, big-endian, so that the blob sorts like the id.
    func bind(_ topic: TopicID, at position: Int32) {
        withUnsafeBytes(of: (topic.high.bigEndian, topic.low.bigEndian)) { note(bindBytes($0, at: position)) }
    }

    func topicID(_ column: Int32) throws(StoreError) -> TopicID {
        try withBlob(column) { (bytes) throws(StoreError) in
            guard bytes.count == 16 else { throw .corrupt(what: "a topic id of \(bytes.count) bytes") }
            return TopicID(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    func bind(_ incarnation: IncarnationID, at position: Int32) {
        withUnsafeBytes(of: (incarnation.high.bigEndian, incarnation.low.bigEndian)) {
            note(bindBytes($0, at: position))
        }
    }

    func incarnation(_ column: Int32) throws(StoreError) -> IncarnationID {
        let id = try topicID(column)
        return IncarnationID(high: id.high, low: id.low)
    }

    /// Four bytes a broker, big-endian, in the order of the list. An empty list is an empty blob.
    func bind(_ brokers: [BrokerID], at position: Int32) {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: brokers.count) { packed in
            for (offset, broker) in brokers.enumerated() { packed[offset] = broker.rawValue.bigEndian }
            note(bindBytes(UnsafeRawBufferPointer(packed), at: position))
        }
    }

    func brokers(_ column: Int32) throws(StoreError) -> [BrokerID] {
        try withBlob(column, brokerList)
    }

    /// One byte for the kind, then the key.
    func bind(_ resource: ConfigResource, at position: Int32) {
        bind(RowCoding.key(of: resource), at: position)
    }

    func configResource(_ column: Int32) throws(StoreError) -> ConfigResource {
        try withBlob(column, RowCoding.resource)
    }
}
