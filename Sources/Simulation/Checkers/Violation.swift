/// What must never happen, and did.
///
/// The checkers in this folder judge a run by plain values that somebody outside of the judged code has seen: who led, what
/// was committed, applied, synced, answered. None of them calls the code that it judges; of `RaftCore` and `MetadataModel`
/// they use the names of things (ids, positions, rows) and nothing that decides.
package struct Violation: Error, Hashable, CustomStringConvertible {
    package var rule: String
    package var detail: String

    package init(rule: String, detail: String) {
        self.rule = rule
        self.detail = detail
    }

    package var description: String { "\(rule): \(detail)" }
}
