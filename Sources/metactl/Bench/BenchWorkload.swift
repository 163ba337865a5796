import MetadataClient
import MetadataModel

/// The keys and values of a benchmark: configuration keys `user.bench-<i>`, each small change of which is replicated, applied
/// and told to watchers like any other.
///
/// As many as one resource holds are the cluster's own. More are spread over topics made for the purpose, so that the
/// writes are as scattered as those of a real cluster.
struct BenchWorkload: Sendable {
    /// The names of one resource's keys, by their order.
    let names: [String]
    /// The topics whose keys are written; empty: the keys are the cluster's.
    let topics: [TopicID]
    /// Over all resources.
    let keyCount: Int
    private let values: [String]

    /// Enough values that no two writes of a key that follow each other are alike: a write of the same value would change
    /// nothing.
    private static let valueCount = 61
    /// Bytes of values in one command when all keys are written at once: far from `Limits.commandBytesMax`.
    private static let chunkBytesMax = 1 << 20
    /// As many topics as are made without becoming a benchmark of topics.
    static let keysMax = 256 * Limits.configsPerResourceMax

    init(keys: Int, valueSize: Int) {
        precondition(keys > 0 && keys <= BenchWorkload.keysMax, "there are no \(keys) keys")
        let topicCount = keys <= Limits.configsPerResourceMax ? 0 : (keys - 1) / Limits.configsPerResourceMax + 1
        let perResource = topicCount == 0 ? keys : (keys - 1) / topicCount + 1
        topics = (0..<topicCount).map { _ in .random() }
        keyCount = perResource * max(1, topicCount)
        let digits = String(perResource - 1).count
        names = (0..<perResource).map { key in
            let number = String(key)
            return "user.bench-" + String(repeating: "0", count: digits - number.count) + number
        }
        let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".utf8)
        values = (0..<BenchWorkload.valueCount).map { value in
            // The first byte alone makes the values differ, whatever the dice say.
            let tail = (1..<max(1, valueSize)).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] }
            return String(decoding: [alphabet[value]] + tail, as: UTF8.self)
        }
    }

    /// The value that write number `number` gives to its key.
    func value(_ number: Int) -> String {
        values[(number / keyCount + number % keyCount) % values.count]
    }

    /// A write of one key. Numbers that are `keyCount` apart write the same key, each time another value.
    func command(_ number: Int) -> Command {
        let change = ConfigChange(name: names[number % keyCount % names.count], value: value(number))
        return .alterConfigs(Command.AlterConfigs(resource: resource(number), changes: [change]))
    }

    /// A read of one key: the first key after the one before it.
    func query(_ number: Int) -> Query {
        let key = number % keyCount % names.count
        return .configs(resource(number), after: key == 0 ? "user.bench-" : names[key - 1], limit: 1)
    }

    /// Makes the topics and writes every key once.
    var creation: [Command] {
        topics.map { id in
            .createTopic(.init(name: BenchWorkload.topicName(id), id: id, partitionCount: 1, replicationFactor: 1))
        }
            + resources.enumerated().flatMap { index, resource in
                chunks(resource) { ConfigChange(name: names[$0], value: value(index * names.count + $0)) }
            }
    }

    /// Removes every key, and the topics.
    var removal: [Command] {
        guard topics.isEmpty else { return topics.map { .deleteTopic(topic: .id($0), ifVersion: nil) } }
        return chunks(.cluster) { ConfigChange(name: names[$0], value: nil) }
    }

    /// Begins alike for all of them, so that what an interrupted benchmark leaves is found and deleted.
    static func topicName(_ id: TopicID) -> String { "bench-" + String(id.high, radix: 16) }

    private var resources: [ResourceReference] {
        topics.isEmpty ? [.cluster] : topics.map { .topic(.id($0)) }
    }

    private func resource(_ number: Int) -> ResourceReference {
        topics.isEmpty ? .cluster : .topic(.id(topics[number % keyCount / names.count]))
    }

    private func chunks(_ resource: ResourceReference, _ change: (Int) -> ConfigChange) -> [Command] {
        let bytesEach = values[0].utf8.count + names[0].utf8.count
        let size = max(1, min(Limits.configChangesPerCommandMax, BenchWorkload.chunkBytesMax / bytesEach))
        return stride(from: 0, to: names.count, by: size).map { start in
            let keys = start..<min(names.count, start + size)
            return .alterConfigs(Command.AlterConfigs(resource: resource, changes: keys.map(change)))
        }
    }
}
