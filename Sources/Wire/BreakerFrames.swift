/// What an operator does to a circuit breaker of the node that is asked.
package struct BreakerControl: Hashable, Sendable {
    package enum Action: String, Hashable, Sendable, CaseIterable {
        /// Closes it.
        case reset
        /// Opens it for one pause.
        case open
    }

    package var name: String
    package var action: Action

    package init(name: String, action: Action) {
        self.name = name
        self.action = action
    }
}

/// A circuit breaker as its node shows it.
package struct BreakerReading: Hashable, Sendable {
    package enum State: String, Hashable, Sendable, CaseIterable {
        case closed
        case open
        case halfOpen = "half_open"
    }

    package var name: String
    package var state: State
    package var failuresInARow: UInt64
    /// Of an open one; zero: the next call is a probe.
    package var retryAfterMilliseconds: UInt32
    package var successes: UInt64
    package var failures: UInt64
    /// What said nothing about the other side.
    package var neutrals: UInt64
    package var rejections: UInt64
    /// How often it opened.
    package var openings: UInt64

    package init(
        name: String, state: State, failuresInARow: UInt64, retryAfterMilliseconds: UInt32, successes: UInt64,
        failures: UInt64, neutrals: UInt64, rejections: UInt64, openings: UInt64
    ) {
        self.name = name
        self.state = state
        self.failuresInARow = failuresInARow
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.successes = successes
        self.failures = failures
        self.neutrals = neutrals
        self.rejections = rejections
        self.openings = openings
    }
}

extension BreakerControl {
    init(wire: WireBreakerControl) throws(WireError) {
        let action: Action
        switch wire.action {
        case .reset: action = .reset
        case .open: action = .open
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("breaker action \(wire.action.rawValue)")
        }
        self.init(name: wire.name, action: action)
    }

    var wire: WireBreakerControl {
        var wire = WireBreakerControl()
        wire.name = name
        switch action {
        case .reset: wire.action = .reset
        case .open: wire.action = .open
        }
        return wire
    }
}

extension BreakerReading {
    init(wire: WireBreakers.Breaker) throws(WireError) {
        guard let state = State(rawValue: wire.state) else { throw .unknownValue("breaker state \(wire.state)") }
        self.init(
            name: wire.name, state: state, failuresInARow: wire.failuresInARow,
            retryAfterMilliseconds: wire.retryAfterMilliseconds, successes: wire.successes, failures: wire.failures,
            neutrals: wire.neutrals, rejections: wire.rejections, openings: wire.openings)
    }

    var wire: WireBreakers.Breaker {
        var wire = WireBreakers.Breaker()
        wire.name = name
        wire.state = state.rawValue
        wire.failuresInARow = failuresInARow
        wire.retryAfterMilliseconds = retryAfterMilliseconds
        wire.successes = successes
        wire.failures = failures
        wire.neutrals = neutrals
        wire.rejections = rejections
        wire.openings = openings
        return wire
    }
}
