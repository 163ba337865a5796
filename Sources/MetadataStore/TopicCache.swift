internal import MetadataModel

/// Topics that were read or written lately: nearly every command names one, and its event names it again.
///
/// Only what exists is remembered, so a miss always asks the database. It follows every write of a topic; after a
/// transaction that was rolled back it is thrown away with the storage that owns it.
struct TopicCache {
    /// Beyond this many the cache begins anew: cheaper than knowing which was used last.
    static let topicsMax = 16_384

    private var byID: [TopicID: Topic] = [:]
    private var idByName: [String: TopicID] = [:]

    func topic(_ id: TopicID) -> Topic? { byID[id] }

    /// Strings that only look alike are equal to Swift and not to the database (the Kelvin sign and the letter K), so a
    /// hit has to have the same bytes. Otherwise an answer would depend on what is in the cache, and nodes would differ.
    func topic(named name: String) -> Topic? {
        guard let id = idByName[name], let topic = byID[id], topic.name.hasSameBytes(as: name) else { return nil }
        return topic
    }

    mutating func put(_ topic: Topic) {
        if byID.count >= Self.topicsMax {
            byID.removeAll(keepingCapacity: true)
            idByName.removeAll(keepingCapacity: true)
        }
        byID[topic.id] = topic
        idByName[topic.name] = topic.id
    }

    mutating func remove(_ topic: Topic) {
        byID[topic.id] = nil
        idByName[topic.name] = nil
    }
}
