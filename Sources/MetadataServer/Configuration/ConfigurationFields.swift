import Configuration
import Synchronization

/// Reads settings one by one from all sources, remembers what is wrong, and goes on.
///
/// The keys that are asked for here are the keys that exist: there is no second list that could disagree.
struct ConfigurationFields {
    /// A key that `NodeConfiguration` reads.
    struct Key: Hashable, Sendable {
        var name: String
        /// As it would be written; nil when the key must be given.
        var defaultText: String?
        /// What may be written, in a few words.
        var allowed: String
    }

    private(set) var keys: [Key] = []
    private(set) var problems: [ConfigurationProblem] = []
    /// What each key comes to, as it is written.
    private(set) var texts: [String: String] = [:]

    private let reader: ConfigReader
    private let lastAccess = LastAccess()

    /// - Parameter providers: The first that knows a key wins.
    init(providers: [any ConfigProvider]) {
        reader = ConfigReader(providers: providers, accessReporter: lastAccess)
    }

    /// A setting with a default.
    mutating func value<Value>(
        _ key: String, _ kind: ConfigurationValue<Value>, default defaultText: String
    ) -> Value {
        keys.append(Key(name: key, defaultText: defaultText, allowed: kind.allowed))
        texts[key] = defaultText
        if let given = parsed(key, kind) { return given }
        do {
            return try kind.parse(defaultText)
        } catch {
            preconditionFailure("the default of \(key) does not pass its own check: \(defaultText): \(error.reason)")
        }
    }

    /// A setting that somebody must choose. Without it there is a problem, and `meanwhile` lets reading go on to find the others.
    mutating func required<Value>(
        _ key: String, _ kind: ConfigurationValue<Value>, meanwhile: Value
    ) -> Value {
        keys.append(Key(name: key, defaultText: nil, allowed: kind.allowed))
        let problemsBefore = problems.count
        if let given = parsed(key, kind) { return given }
        if problems.count == problemsBefore { report(key, nil, "is missing and has no default") }
        return meanwhile
    }

    /// A list: a sequence in the file, one text with semicolons or spaces between the items elsewhere.
    mutating func list<Value>(_ key: String, _ kind: ConfigurationValue<Value>) -> [Value] {
        keys.append(Key(name: key, defaultText: "[]", allowed: kind.allowed))
        var items: [String]
        if let text = reader.string(forKey: ConfigKey(key)) {
            items = text.split { $0 == ";" || $0.isWhitespace }.map(String.init)
        } else if lastAccess.failed {
            items = reader.stringArray(forKey: ConfigKey(key)) ?? []
            if lastAccess.failed { report(key, nil, "must be a list of texts") }
        } else {
            items = []
        }
        texts[key] = "[\(items.joined(separator: ", "))]"
        var values: [Value] = []
        for item in items {
            do {
                values.append(try kind.parse(item))
            } catch {
                report(key, "\(item)\(lastAccess.origin(of: key))", error.reason)
            }
        }
        return values
    }

    /// A problem that shows only when several settings are seen together.
    mutating func report(_ key: String, _ value: String?, _ reason: String) {
        problems.append(ConfigurationProblem(key: key, value: value, reason: reason))
    }

    private mutating func parsed<Value>(_ key: String, _ kind: ConfigurationValue<Value>) -> Value? {
        guard let text = reader.string(forKey: ConfigKey(key)) else {
            if lastAccess.failed { report(key, nil, "must be a single value, not a list") }
            return nil
        }
        texts[key] = text
        do {
            return try kind.parse(text)
        } catch {
            report(key, "\(text)\(lastAccess.origin(of: key))", error.reason)
            return nil
        }
    }
}

/// Tells apart "not given" and "given in a shape that does not fit", which a reader answers alike, and remembers which
/// source the value came from.
private final class LastAccess: AccessReporter {
    private struct State {
        var failed = false
        var encodedKey: String?
    }

    private let state = Mutex(State())

    func report(_ event: AccessEvent) {
        // The reader itself answers "not given" when a source has the key in another shape; the sources tell.
        var next = State()
        for provider in event.providerResults {
            switch provider.result {
            case .success(let lookup): next.encodedKey = lookup.encodedKey
            case .failure: next.failed = true
            }
        }
        let final = next
        state.withLock { $0 = final }
    }

    var failed: Bool { state.withLock { $0.failed } }

    /// The environment variable, when it was one.
    func origin(of key: String) -> String {
        guard let encodedKey = state.withLock({ $0.encodedKey }), encodedKey != key else { return "" }
        return " (from \(encodedKey))"
    }
}
