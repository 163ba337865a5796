import Configuration
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension NodeConfiguration {
    /// Environment variables that begin with this override the file: `node.data_dir` is `METAD_NODE_DATA_DIR`.
    package static let environmentPrefix = "METAD_"

    /// Reads and checks everything: flags beat the environment, which beats the file, which beats the defaults.
    ///
    /// - Parameters:
    ///   - file: The path of a YAML file; nil to go without.
    ///   - environment: The variables to look at; nil for those of the process.
    ///   - overrides: From flags, by key.
    ///   - currentDirectory: From where relative paths are taken; nil for that of the process.
    /// - Throws: Every problem at once, those of the sources first, then in the order of the keys.
    package static func load(
        file: String?, environment: [String: String]? = nil, overrides: [String: String] = [:],
        currentDirectory: String? = nil
    ) async throws(ConfigurationProblems) -> NodeConfiguration {
        let variables = environment ?? ProcessInfo.processInfo.environment
        let flags = InMemoryProvider(
            name: "flags",
            values: Dictionary(
                overrides.map { (AbsoluteConfigKey(keyComponents($0)), ConfigValue(.string($1), isSecret: false)) },
                uniquingKeysWith: { _, last in last }))
        let ours = EnvironmentVariablesProvider(environmentVariables: variables).prefixKeys(with: "metad")
        var providers: [any ConfigProvider] = [flags, ours]
        var keysOfFile: [String] = []
        var problems: [ConfigurationProblem] = []
        if let file {
            do {
                let loaded = try await yaml(file)
                providers.append(loaded.provider)
                keysOfFile = loaded.keys
            } catch {
                problems.append(error)
            }
        }

        var fields = ConfigurationFields(providers: providers)
        var configuration = read(&fields, currentDirectory: currentDirectory)
        let known = Set(fields.keys.map(\.name))
        problems += unknown(keysOfFile, known, source: "file") + unknown(Array(overrides.keys), known, source: "flag")
        // Without the file everything is missing, which would only hide the one thing to know.
        if file == nil || providers.count == 3 { problems += fields.problems }
        guard problems.isEmpty else { throw ConfigurationProblems(problems) }
        configuration.notices += unknownVariables(variables, known)
        configuration.texts = fields.texts
        return configuration
    }

    /// Every key there is, in the order of the file.
    package static var knownKeys: [String] { allKeys.map(\.name) }

    /// The default of a key as it would be written; nil when the key must be given or does not exist.
    package static func defaultText(of key: String) -> String? {
        allKeys.first { $0.name == key }?.defaultText
    }

    /// What may be written for a key, in a few words.
    package static func allowed(for key: String) -> String? {
        allKeys.first { $0.name == key }?.allowed
    }

    private static var allKeys: [ConfigurationFields.Key] {
        var fields = ConfigurationFields(providers: [InMemoryProvider(values: [:])])
        _ = read(&fields, currentDirectory: "/")
        return fields.keys
    }

    /// The environment variable that overrides a key.
    package static func environmentVariable(for key: String) -> String {
        environmentPrefix + key.uppercased().replacing(".", with: "_")
    }

    private static func keyComponents(_ key: String) -> [String] {
        key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    /// A mistyped key must not silently leave its default in place.
    private static func unknown(
        _ given: [String], _ known: Set<String>, source: String
    ) -> [ConfigurationProblem] {
        given.filter { !known.contains($0) }.sorted().map { key in
            let similar = known.min { (distance($0, key), $0) < (distance($1, key), $1) }
            let hint = similar.flatMap { distance($0, key) <= 3 ? "; did you mean \($0)?" : nil } ?? ""
            return ConfigurationProblem(key: key, reason: "is not a key (\(source))\(hint)")
        }
    }

    /// Only a notice: a container platform sets variables like `METAD_SERVICE_HOST` on its own.
    private static func unknownVariables(_ variables: [String: String], _ known: Set<String>) -> [String] {
        let names = Set(known.map(environmentVariable(for:)))
        return variables.keys.filter { $0.hasPrefix(environmentPrefix) && !names.contains($0) }.sorted()
            .map { "the environment variable \($0) belongs to no key and is ignored" }
    }

    /// The number of letters to change, add or remove (Levenshtein).
    private static func distance(_ first: String, _ second: String) -> Int {
        let target = Array(second.utf8)
        var row = Array(0...target.count)
        for (line, byte) in first.utf8.enumerated() {
            var diagonal = row[0]
            row[0] = line + 1
            for column in target.indices {
                let replaced = diagonal + (byte == target[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[target.count]
    }

    /// Loads the file and notes its keys. The library has no call that lists keys, but it asks of every value whether it
    /// is a secret, by key; that question is listened to here. None is.
    private static func yaml(
        _ path: String
    ) async throws(ConfigurationProblem) -> (provider: any ConfigProvider, keys: [String]) {
        let seen = SeenKeys()
        let options = YAMLSnapshot.ParsingOptions(
            secretsSpecifier: .dynamic { key, _ in
                seen.add(key)
                return false
            })
        let location = ConfigReader(
            provider: InMemoryProvider(values: ["filePath": .init(.string(path), isSecret: false)]))
        do {
            let provider = try await FileProvider<YAMLSnapshot>(parsingOptions: options, config: location)
            return (provider, seen.all)
        } catch {
            throw ConfigurationProblem(key: path, reason: "cannot be read as a YAML file of settings: \(error)")
        }
    }

    private final class SeenKeys: Sendable {
        private let keys = Mutex<[String]>([])

        func add(_ key: String) { keys.withLock { $0.append(key) } }

        var all: [String] { keys.withLock { $0 } }
    }
}

extension ConfigurationProblem: Error {}
