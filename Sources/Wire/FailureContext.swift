/// Where and when a request failed, for those who read the error far from the node.
package struct FailureContext: Hashable, Sendable {
    package enum Category: String, Hashable, Sendable, CaseIterable {
        /// The same call may succeed at once.
        case retriable
        /// It may succeed when a condition has passed.
        case transient
        /// No retry helps.
        case fatal
        /// The request has to be changed.
        case invalidInput = "invalid_input"
    }

    /// More than the client could make use of; a node that says more is refused.
    package static let factsMax = 32

    package var category: Category
    /// The request, as metrics name it.
    package var operation: String
    /// What lies behind it, in the words of whoever found it; empty when nothing is known.
    package var cause: String
    /// `node_id`, `term` and so on; by name.
    package var facts: [Fact]
    /// Since 1970, by the clock of the node.
    package var timestampMilliseconds: UInt64

    package struct Fact: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(
        category: Category, operation: String, cause: String = "", facts: [Fact] = [], timestampMilliseconds: UInt64
    ) {
        self.category = category
        self.operation = operation
        self.cause = cause
        self.facts = facts
        self.timestampMilliseconds = timestampMilliseconds
    }
}

extension ServiceFailure.Code {
    package var category: FailureContext.Category {
        switch self {
        case .notLeader, .shuttingDown, .leadershipLost, .unknownBroker: .retriable
        case .noLeader, .overloaded, .deadlineExceeded, .storageFailed, .diskFull: .transient
        case .wrongCluster, .unsupportedProtocol: .fatal
        case .invalidRequest: .invalidInput
        }
    }
}

extension FailureContext {
    init(wire: WireFailureContext) throws(WireError) {
        guard wire.facts.count <= FailureContext.factsMax else { throw .malformed("\(wire.facts.count) facts") }
        self.init(
            category: try Category(wire: wire.category), operation: wire.operation, cause: wire.cause,
            facts: wire.facts.map { Fact($0.name, $0.value) }, timestampMilliseconds: wire.timestampMilliseconds)
    }

    var wire: WireFailureContext {
        var wire = WireFailureContext()
        wire.category = category.wire
        wire.operation = operation
        wire.cause = cause
        wire.facts = facts.map { fact in
            var wire = WireFailureContext.Fact()
            wire.name = fact.name
            wire.value = fact.value
            return wire
        }
        wire.timestampMilliseconds = timestampMilliseconds
        return wire
    }
}

extension FailureContext.Category {
    fileprivate init(wire: WireFailureCategory) throws(WireError) {
        switch wire {
        case .retriable: self = .retriable
        case .transient: self = .transient
        case .fatal: self = .fatal
        case .invalidInput: self = .invalidInput
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("failure category \(wire.rawValue)")
        }
    }

    fileprivate var wire: WireFailureCategory {
        switch self {
        case .retriable: .retriable
        case .transient: .transient
        case .fatal: .fatal
        case .invalidInput: .invalidInput
        }
    }
}
