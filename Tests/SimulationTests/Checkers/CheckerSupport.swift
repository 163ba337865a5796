import MetadataModel
import RaftCore
import Simulation
import Testing

let one = NodeID(1)
let two = NodeID(2)
let three = NodeID(3)
let four = NodeID(4)
let five = NodeID(5)

func entry(_ index: UInt64, term: UInt64, _ byte: UInt8 = 0) -> Entry {
    Entry(term: Term(term), index: LogIndex(index), kind: .command, payload: [byte])
}

func position(_ index: UInt64, term: UInt64) -> LogPosition {
    LogPosition(index: LogIndex(index), term: Term(term))
}

/// A checker that finds nothing proves nothing: `body` breaks `rule` and no other.
func finds(_ rule: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
    do {
        try body()
        Issue.record("nothing was found against: \(rule)", sourceLocation: sourceLocation)
    } catch {
        #expect((error as? Violation)?.rule == rule, "\(error)", sourceLocation: sourceLocation)
    }
}
