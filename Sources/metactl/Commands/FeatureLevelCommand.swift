import ArgumentParser
import MetadataClient
import MetadataModel

struct FeatureLevelCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "feature-level",
        abstract: "Shows which features the cluster has agreed on, or raises that.",
        discussion: """
            The leader raises it by itself unless coordinator.raise_feature_level is false. Refused while a node is missing or \
            runs a program that does not understand the level. There is no way back, nor to an older program.
            """)

    @Flag(help: "Raise it to what this program knows.") var raise = false
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let report = try await global.withClient { client in
            if raise { try await client.raiseFeatureLevel() }
            return FeatureLevelReport(
                featureLevel: try await client.summary().featureLevel, highestKnown: Limits.featureLevelMax)
        }
        try global.console.print(report)
    }
}

/// `feature-level`.
struct FeatureLevelReport: Report {
    var featureLevel: UInt32
    /// By this program.
    var highestKnown: UInt32

    var table: String { "FEATURE-LEVEL \(featureLevel)   HIGHEST-KNOWN \(highestKnown)" }
}
