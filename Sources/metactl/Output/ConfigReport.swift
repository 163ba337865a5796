import MetadataModel

/// A configuration key as JSON.
struct ConfigReport: Encodable, Equatable {
    var name: String
    var value: String
    var version: UInt64

    init(_ entry: ConfigEntry) {
        name = entry.name
        value = entry.value
        version = entry.version.rawValue
    }

    static func table(_ configs: [ConfigReport]) -> String {
        var table = Table(["CONFIG", "VALUE", "VERSION"])
        for config in configs { table.add([config.name, config.value, "\(config.version)"]) }
        return table.text
    }

    /// The table as the last part of a longer answer; nothing when there is no key.
    static func section(_ configs: [ConfigReport]) -> String {
        configs.isEmpty ? "" : "\n" + table(configs)
    }
}

/// `configs describe`.
struct ConfigListReport: Report {
    var resource: String
    var configs: [ConfigReport]

    var table: String { ConfigReport.table(configs) }
}

/// The answer to a change that returns nothing but its version.
struct ChangedReport: Report {
    /// What was done, in a few words.
    var message: String
    var version: UInt64

    var table: String { "\(message.printable) at version \(version)" }
}
