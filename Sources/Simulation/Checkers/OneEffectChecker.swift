package import MetadataModel
package import RaftCore

/// A write of a session takes effect once, however often it was sent, and every attempt gets the same answer (Diss. §6.3).
package struct OneEffectChecker {
    private struct Write: Hashable {
        var session: SessionID
        var sequence: UInt64
    }

    private var effects: [Write: LogIndex] = [:]
    private var answers: [Write: CommandOutcome] = [:]

    package init() {}

    /// The entry at `index` changed something, for this write. Every node tells so for the same index.
    package mutating func takesEffect(
        _ session: SessionID, _ sequence: UInt64, at index: LogIndex
    ) throws(Violation) {
        let write = Write(session: session, sequence: sequence)
        if let other = effects[write], other != index {
            throw Violation(
                rule: "one effect",
                detail: "write \(sequence) of session \(session) took effect at \(other) and at \(index)")
        }
        effects[write] = index
    }

    /// An attempt was answered, in the log or to the client. What says that the session or its window is gone is no answer
    /// to the write, and is passed over.
    package mutating func answers(
        _ session: SessionID, _ sequence: UInt64, _ outcome: CommandOutcome
    ) throws(Violation) {
        if case .refused(let refusal) = outcome {
            switch refusal.reason {
            case .sessionExpired, .sequenceOutOfWindow: return
            default: break
            }
        }
        let write = Write(session: session, sequence: sequence)
        // An answer that is given again lacks the sentences of the first.
        let outcome = outcome.remembered
        if let other = answers[write], other != outcome {
            throw Violation(
                rule: "one answer",
                detail: "write \(sequence) of session \(session) was answered with \(other), now with \(outcome)")
        }
        answers[write] = outcome
    }
}
