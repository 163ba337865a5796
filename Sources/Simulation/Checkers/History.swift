/// What clients did to one object: who asked for what, when, and what came of it. Times are of one clock.
package struct History<Model: SequentialModel> {
    package struct Record: Hashable {
        package var client: UInt64
        package var operation: Model.Operation
        package var invoked: UInt64
        /// Both nil until the answer is there, and for ever when it never comes: then the operation may have been done at any
        /// moment after `invoked`, or never.
        package var answer: Model.Answer?
        package var returned: UInt64?
    }

    package struct OperationID: Hashable {
        fileprivate var number: Int
    }

    private var all: [Record?] = []

    package init() {}

    package var records: [Record] { all.compactMap { $0 } }

    package mutating func invokes(_ operation: Model.Operation, by client: UInt64, at time: UInt64) -> OperationID {
        all.append(Record(client: client, operation: operation, invoked: time))
        return OperationID(number: all.count - 1)
    }

    package mutating func returns(_ id: OperationID, _ answer: Model.Answer, at time: UInt64) {
        guard var record = all[id.number] else { preconditionFailure("operation \(id.number) was withdrawn") }
        precondition(record.returned == nil, "operation \(id.number) returned twice")
        precondition(time >= record.invoked, "returned at \(time), invoked at \(record.invoked)")
        record.answer = answer
        record.returned = time
        all[id.number] = record
    }

    /// The operation had no effect, for certain: a read whose answer got lost, a write that was refused.
    package mutating func withdraws(_ id: OperationID) { all[id.number] = nil }
}
