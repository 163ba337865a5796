import MetadataClient
import MetadataModel

/// What a client asked for, when, and what came of it. Times are nanoseconds since the beginning of the run, by a clock that
/// never goes back.
struct RecordedCall: Sendable {
    enum Action: Hashable, Sendable {
        /// A register is a configuration key of a topic of its own; each value is written once in a run.
        case write(String, value: String)
        /// Only if the register still is as it was when it was read.
        case replace(String, expected: String, value: String)
        case read(String)
        /// As it was at some moment.
        case staleRead(String)
        case createTopic(String)
        case removeTopic(String)
        /// The version of everything.
        case readVersion(ReadConsistency)
    }

    enum Ending: Hashable, Sendable {
        /// A write that was acknowledged, at this version.
        case done(Version)
        /// A value, and the version at which it was written.
        case value(String?, Version)
        case version(Version)
        /// A conditional write whose condition did not hold.
        case mismatch
        /// Certainly without effect.
        case failed(String)
        /// Nobody knows.
        case unknown(String)
    }

    /// Whoever does one thing after the other.
    var lane: Int
    var action: Action
    var invoked: UInt64
    var returned: UInt64
    var ending: Ending

    var isWrite: Bool {
        switch action {
        case .write, .replace, .createTopic, .removeTopic: true
        case .read, .staleRead, .readVersion: false
        }
    }

    /// A read that promises to show everything that was acknowledged before.
    var isLinearizableRead: Bool {
        switch action {
        case .read, .readVersion(.linearizable): true
        case .write, .replace, .createTopic, .removeTopic, .staleRead, .readVersion: false
        }
    }

    /// The cluster did its work, whatever it decided.
    var isAnswered: Bool {
        switch ending {
        case .done, .value, .version, .mismatch: true
        case .failed, .unknown: false
        }
    }
}

extension RecordedCall.Ending {
    init(_ error: MetadataError) {
        switch (error.refusal?.reason, error.outcome) {
        case (.versionMismatch, .definite): self = .mismatch
        case (_, .definite): self = .failed("\(error)")
        case (_, .indefinite): self = .unknown("\(error)")
        }
    }
}
