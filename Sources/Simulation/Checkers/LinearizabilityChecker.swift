/// What clients saw could have happened one after the other: each operation at one moment between its call and its answer
/// (Herlihy and Wing 1990). Objects are judged one by one, which is enough.
///
/// The question is hard in general, so the search ends after a number of steps. It is the same number on every machine, so a
/// seed has the same verdict everywhere.
package struct LinearizabilityChecker<Key: Hashable & Comparable, Model: SequentialModel> {
    package struct OperationID: Hashable {
        fileprivate var key: Key
        fileprivate var number: History<Model>.OperationID
    }

    package enum Verdict: Hashable {
        case linearizable
        /// With the object, and what could not be explained.
        case notLinearizable(Key, String)
        /// The steps were used up: nothing is known of this object.
        case undecided(Key)
    }

    private var histories: [Key: History<Model>] = [:]

    package init() {}

    package mutating func invokes(
        _ operation: Model.Operation, of key: Key, by client: UInt64, at time: UInt64
    ) -> OperationID {
        OperationID(key: key, number: histories[key, default: History()].invokes(operation, by: client, at: time))
    }

    package mutating func returns(_ id: OperationID, _ answer: Model.Answer, at time: UInt64) {
        histories[id.key]?.returns(id.number, answer, at: time)
    }

    /// The operation had no effect, for certain. One of which nothing is known is simply left open.
    package mutating func withdraws(_ id: OperationID) { histories[id.key]?.withdraws(id.number) }

    /// Of the first object that is not explained, by key.
    ///
    /// - Parameter stepsMax: for each object.
    package func verdict(stepsMax: Int = 200_000) -> Verdict {
        var undecided: Key?
        for (key, history) in histories.sorted(by: { $0.key < $1.key }) {
            let records = history.records
            var search = LinearizationSearch<Model>(records)
            switch search.run(stepsMax: stepsMax) {
            case .linearizable: continue
            case .undecided: undecided = undecided ?? key
            case .notLinearizable(let explained, let stuckAt):
                let record = records[stuckAt]
                let answer = record.answer.map { "\($0)" } ?? "nothing"
                return .notLinearizable(
                    key,
                    "client \(record.client) asked \(record.operation) at \(record.invoked) and was answered \(answer) at "
                        + "\(record.returned ?? 0), which fits nowhere; at best \(explained) of \(records.count) "
                        + "operations can be explained before it")
            }
        }
        return undecided.map { .undecided($0) } ?? .linearizable
    }

    /// - Parameter findsUndecided: whether a search that did not end is a finding.
    package func judge(stepsMax: Int = 200_000, findsUndecided: Bool = false) throws(Violation) {
        switch verdict(stepsMax: stepsMax) {
        case .linearizable: return
        case .notLinearizable(let key, let detail):
            throw Violation(rule: "linearizability", detail: "\(key): \(detail)")
        case .undecided(let key):
            guard findsUndecided else { return }
            throw Violation(rule: "linearizability", detail: "\(key): undecided after \(stepsMax) steps")
        }
    }
}
