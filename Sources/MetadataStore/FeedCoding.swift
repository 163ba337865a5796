internal import MetadataModel

/// The bytes of a row of the change feed: events one behind another, each with its version and length in front, so that a
/// reader can split the row and skip what it does not want.
///
/// ```
/// event   8  version
///         4  length of what follows
///         -  changes, each: 1 tag, then the row as in a snapshot (`RowCoding`), or the key of what was removed
/// ```
enum FeedCoding {
    static let eventHeaderBytes = 12

    private enum Tag: UInt8 {
        case brokerChanged = 1
        case brokerRemoved = 2
        case topicChanged = 3
        case topicRemoved = 4
        case partitionChanged = 5
        case configChanged = 6
        case configRemoved = 7
    }

    static func append(_ event: ChangeEvent, to writer: inout ByteWriter) {
        writer.append(event.version.rawValue)
        let lengthOffset = writer.count
        writer.append(UInt32(0))
        for change in event.changes { append(change, to: &writer) }
        writer.fillLength(at: lengthOffset)
    }

    private static func append(_ change: ObservedChange, to writer: inout ByteWriter) {
        switch change {
        case .brokerChanged(let broker):
            writer.append(Tag.brokerChanged.rawValue)
            RowCoding.append(broker, to: &writer)
        case .brokerRemoved(let id):
            writer.append(Tag.brokerRemoved.rawValue)
            writer.append(id.rawValue)
        case .topicChanged(let topic):
            writer.append(Tag.topicChanged.rawValue)
            RowCoding.append(topic, to: &writer)
        case .topicRemoved(let id, let name):
            writer.append(Tag.topicRemoved.rawValue)
            writer.append(id)
            writer.append(shortText: name)
        case .partitionChanged(let partition, let topicName):
            writer.append(Tag.partitionChanged.rawValue)
            RowCoding.append(partition, to: &writer)
            writer.append(shortText: topicName)
        case .configChanged(let entry):
            writer.append(Tag.configChanged.rawValue)
            RowCoding.append(entry, to: &writer)
        case .configRemoved(let resource, let name):
            writer.append(Tag.configRemoved.rawValue)
            let key = RowCoding.key(of: resource)
            writer.append(UInt8(key.count))
            writer.append(raw: key)
            writer.append(shortText: name)
        }
    }

    /// The events of a row after `version`, in order. `body` also gets the event's bytes and returns false to stop.
    static func forEachEvent(
        in row: UnsafeRawBufferPointer, after version: Version,
        _ body: (ChangeEvent, Int) throws(StoreError) -> Bool
    ) throws(StoreError) {
        var reader = ByteReader(row, "a row of the change feed")
        var previous = Version.zero
        while reader.remaining > 0 {
            let eventVersion = Version(try reader.integer())
            let bytes = try reader.long()
            guard eventVersion > previous else {
                throw .corrupt(what: "the change feed has version \(eventVersion) after \(previous)")
            }
            previous = eventVersion
            guard eventVersion > version else { continue }
            let event = ChangeEvent(version: eventVersion, changes: try changes(bytes))
            guard try body(event, bytes.count) else { return }
        }
    }

    private static func changes(_ bytes: UnsafeRawBufferPointer) throws(StoreError) -> [ObservedChange] {
        var reader = ByteReader(bytes, "an event of the change feed")
        var changes: [ObservedChange] = []
        while reader.remaining > 0 { changes.append(try change(&reader)) }
        return changes
    }

    private static func change(_ reader: inout ByteReader) throws(StoreError) -> ObservedChange {
        let rawTag = try reader.integer(UInt8.self)
        guard let tag = Tag(rawValue: rawTag) else { throw .corrupt(what: "change of kind \(rawTag)") }
        switch tag {
        case .brokerChanged: return .brokerChanged(try RowCoding.broker(&reader))
        case .brokerRemoved: return .brokerRemoved(BrokerID(try reader.integer()))
        case .topicChanged: return .topicChanged(try RowCoding.topic(&reader))
        case .topicRemoved:
            let id = try reader.topic()
            return .topicRemoved(id: id, name: try reader.shortText())
        case .partitionChanged:
            let partition = try RowCoding.partition(&reader)
            return .partitionChanged(partition, topicName: try reader.shortText())
        case .configChanged: return .configChanged(try RowCoding.config(&reader))
        case .configRemoved:
            let count = try reader.integer(UInt8.self)
            let resource = try RowCoding.resource(reader.take(Int(count)))
            return .configRemoved(resource: resource, name: try reader.shortText())
        }
    }
}
