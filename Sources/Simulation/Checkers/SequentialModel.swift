/// How one object behaves when one operation happens after the other: what a history of concurrent operations has to be
/// explained by.
package protocol SequentialModel {
    associatedtype State: Hashable
    associatedtype Operation: Hashable
    associatedtype Answer: Hashable

    static var initial: State { get }

    /// The state after `operation`; nil when it cannot be answered so in this state. Without an answer nobody knows what was
    /// answered, and anything goes.
    static func step(_ state: State, _ operation: Operation, answer: Answer?) -> State?

    /// True when an operation that is answered so leaves every state as it is.
    static func isObservation(_ operation: Operation, answer: Answer) -> Bool
}

/// A value that is read, written, removed, and replaced if it is what one expects: a configuration entry, a name.
package enum RegisterModel: SequentialModel {
    package enum Operation: Hashable, Sendable {
        case read
        /// Nil removes the value.
        case write(String?)
        case replace(expected: String?, String?)
    }

    package enum Answer: Hashable, Sendable {
        case value(String?)
        case done
        /// The value was not the expected one, and nothing was done.
        case mismatch
    }

    package static var initial: String? { nil }

    // A state of `nil` and the absence of a state are two things, hence `.some`.
    package static func step(_ state: String?, _ operation: Operation, answer: Answer?) -> String?? {
        switch (operation, answer) {
        case (.read, nil): return .some(state)
        case (.read, .value(let value)): return value == state ? .some(state) : .none
        case (.write(let value), nil), (.write(let value), .done): return .some(value)
        case (.replace(let expected, let value), nil): return .some(expected == state ? value : state)
        case (.replace(let expected, let value), .done): return expected == state ? .some(value) : .none
        case (.replace(let expected, _), .mismatch): return expected == state ? .none : .some(state)
        case (.read, .done), (.read, .mismatch), (.write, .value), (.write, .mismatch), (.replace, .value): return .none
        }
    }

    package static func isObservation(_ operation: Operation, answer: Answer) -> Bool {
        operation == .read || answer == .mismatch
    }
}
