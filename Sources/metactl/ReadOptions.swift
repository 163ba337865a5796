import ArgumentParser
import MetadataClient
import MetadataModel

/// How fresh what is read has to be.
struct ReadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "linearizable, at-least:VERSION, stale or stale:DURATION.",
            discussion: """
                linearizable sees every change that was acknowledged before, and needs a majority. at-least sees the change that \
                had this version, on any node. stale takes what a node has, if it heard from a leader within the duration \
                (without one: whenever that was), and works while there is no leader.
                """, valueName: "level"))
    var consistency = ReadLevel(.linearizable)

    var level: ReadConsistency { consistency.level }
}

/// A level of reading on the command line.
struct ReadLevel: ExpressibleByArgument, Hashable, Sendable {
    var level: ReadConsistency

    init(_ level: ReadConsistency) { self.level = level }

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch (parts[0], parts.count == 2 ? parts[1] : nil) {
        case ("linearizable", nil): level = .linearizable
        case ("stale", nil): level = .stale(maxLagMilliseconds: .max)
        case ("stale", let lag?):
            guard let lag = DurationArgument(argument: lag) else { return nil }
            level = .stale(maxLagMilliseconds: UInt64(lag.duration.inMilliseconds))
        case ("at-least", let version?):
            guard let version = UInt64(version) else { return nil }
            level = .atLeast(Version(version))
        default: return nil
        }
    }

    var defaultValueDescription: String { "linearizable" }
}
