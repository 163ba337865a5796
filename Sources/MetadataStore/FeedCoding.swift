internal import MetadataModel

/// The bytes of a row of the change feed: events one behind another, each with its version and length in front, so that a
/// reader can split the row and skip what it does not want.
///
/// ```
/// event   8  version
///         4  length of what follows
///         -  changes, each: 1 tag, then the row as in a snapshot (`RowCoding`), or the key of what was removed; tag 8 and a
///            list of brokers (2 count, 4 each) behind a change by which these brokers lost replicas
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
        case departure = 8
    }

    static func append(_ event: ChangeEvent, to writer: inout ByteWriter) {
        writer.append(event.version.rawValue)
        let lengthOffset = writer.count
        writer.append(UInt32(0))
        var departures = event.departures[...]
        for (place, change) in event.changes.enumerated() {
            append(change, to: &writer)
            guard let departure = departures.first, departure.place == place else { continue }
            departures.removeFirst()
            writer.append(Tag.departure.rawValue)
            writer.append(departure.brokers)
        }
        precondition(departures.isEmpty, "\(departures.count) departures of an event belong to none of its changes")
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
            let event = try event(bytes, version: eventVersion)
            guard try body(event, bytes.count) else { return }
        }
    }

    private static func event(_ bytes: UnsafeRawBufferPointer, version: Version) throws(StoreError) -> ChangeEvent {
        var reader = ByteReader(bytes, "an event of the change feed")
        var event = ChangeEvent(version: version, changes: [])
        while reader.remaining > 0 {
            let rawTag = try reader.integer(UInt8.self)
            guard let tag = Tag(rawValue: rawTag) else { throw .corrupt(what: "change of kind \(rawTag)") }
            if let change = try change(tag, &reader) {
                event.changes.append(change)
                continue
            }
            let place = event.changes.count - 1
            guard place > event.departures.last?.place ?? -1 else {
                throw .corrupt(what: "replicas leave in event \(version), which has no change for that")
            }
            event.departures.append(Departure(place: place, brokers: try reader.brokers()))
        }
        return event
    }

    /// Nil: a departure follows, which is none.
    private static func change(_ tag: Tag, _ reader: inout ByteReader) throws(StoreError) -> ObservedChange? {
        switch tag {
        case .departure: return nil
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
