package import RaftCore

/// How the log that a member finds on its disk fits the state machine beside it. The state machine may lag, then the log
/// replays; after a crash between the installation of a snapshot and the reset of the log it is ahead.
package enum LogFit: Hashable, Sendable {
    /// The log holds the entry that was applied last, or begins right after it.
    case fits
    /// The log ends before what was applied, or says something else there: it has to begin anew behind the state machine.
    case mustBeginAnew
    /// The log begins after what was applied: entries are missing, and nobody here can make them up.
    case entriesAreMissing

    package init(base: LogPosition, entries: [Entry], applied: LogPosition) {
        if applied.index < base.index {
            self = .entriesAreMissing
        } else if applied.index == base.index {
            self = applied.term == base.term ? .fits : .mustBeginAnew
        } else if applied.index.rawValue - base.index.rawValue > UInt64(entries.count) {
            self = .mustBeginAnew
        } else {
            let entry = entries[Int(applied.index.rawValue - base.index.rawValue) - 1]
            self = entry.term == applied.term ? .fits : .mustBeginAnew
        }
    }
}
