package import RaftCore

/// The log's own time never goes back, or a session would be expired by a clock (pitfall: time in apply).
package struct LogTimeChecker {
    private var last: (index: LogIndex, milliseconds: UInt64)?

    package init() {}

    /// The committed entry at `index` carries this time. Entries that were judged before are passed over.
    package mutating func commits(_ milliseconds: UInt64, at index: LogIndex) throws(Violation) {
        if let last {
            guard index > last.index else { return }
            guard milliseconds >= last.milliseconds else {
                throw Violation(
                    rule: "log time never falls",
                    detail:
                        "entry \(index) carries \(milliseconds) ms, entry \(last.index) carried \(last.milliseconds)")
            }
        }
        last = (index, milliseconds)
    }
}
