import MetadataModel

/// The keys and values of a benchmark: configuration keys `user.bench-<i>` of the cluster, each small change of which is
/// replicated, applied and told to watchers like any other.
struct BenchWorkload: Sendable {
    let names: [String]
    private let values: [String]

    /// Enough values that no two writes of a key that follow each other are alike: a write of the same value would change
    /// nothing.
    private static let valueCount = 61
    /// Bytes of values in one command when all keys are written at once: far from `Limits.commandBytesMax`.
    private static let chunkBytesMax = 1 << 20

    init(keys: Int, valueSize: Int) {
        precondition(keys > 0 && keys <= Limits.configsPerResourceMax, "a resource holds no \(keys) keys")
        let digits = String(keys - 1).count
        names = (0..<keys).map { key in
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
        values[(number / names.count + number % names.count) % values.count]
    }

    /// A write of one key. Numbers that are `names.count` apart write the same key, each time another value.
    func command(_ number: Int) -> Command {
        let change = ConfigChange(name: names[number % names.count], value: value(number))
        return .alterConfigs(Command.AlterConfigs(resource: .cluster, changes: [change]))
    }

    /// A read of one key: the first key after the one before it.
    func query(_ number: Int) -> Query {
        let key = number % names.count
        return .configs(.cluster, after: key == 0 ? "user.bench-" : names[key - 1], limit: 1)
    }

    /// Writes every key once.
    var creation: [Command] {
        chunks { ConfigChange(name: names[$0], value: value($0)) }
    }

    /// Removes every key.
    var removal: [Command] {
        chunks { ConfigChange(name: names[$0], value: nil) }
    }

    private func chunks(_ change: (Int) -> ConfigChange) -> [Command] {
        let bytesEach = values[0].utf8.count + names[0].utf8.count
        let size = max(1, min(Limits.configChangesPerCommandMax, BenchWorkload.chunkBytesMax / bytesEach))
        return stride(from: 0, to: names.count, by: size).map { start in
            let keys = start..<min(names.count, start + size)
            return .alterConfigs(Command.AlterConfigs(resource: .cluster, changes: keys.map(change)))
        }
    }
}
