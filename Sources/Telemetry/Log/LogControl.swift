import Logging
import Synchronization

/// What may be changed about the logs of a process while it runs: how much each component says, and in which format. Read at
/// each event without a lock.
package final class LogControl: Sendable {
    /// Components come from our code and from libraries; a name made at run time must not fill the memory.
    static let componentsMax = 256

    private struct State {
        var level: Logger.Level
        /// Components with a level of their own. Invariant: each has a cell, or the name was refused.
        var own: [String: Logger.Level] = [:]
        var cells: [String: LogLevelCell] = [:]
    }

    private let state: Mutex<State>
    private let rawFormat: Atomic<Int>
    /// For components beyond the limit.
    private let rest: LogLevelCell

    package init(level: Logger.Level, format: LogFormat) {
        state = Mutex(State(level: level))
        rawFormat = Atomic(format.number)
        rest = LogLevelCell(level)
    }

    package var format: LogFormat {
        get { LogFormat.allCases[rawFormat.load(ordering: .relaxed)] }
        set { rawFormat.store(newValue.number, ordering: .relaxed) }
    }

    /// Of the components that have none of their own.
    package var level: Logger.Level { state.withLock(\.level) }

    /// Every component that has said or may say something, sorted.
    package var components: [String] { state.withLock { $0.cells.keys.sorted() } }

    /// Takes effect with the next event.
    ///
    /// - Parameter component: nil for all, those with a level of their own included.
    /// - Returns: false when there is no such component, so that a slip of the fingers is noticed.
    @discardableResult
    package func set(_ level: Logger.Level, component: String? = nil) -> Bool {
        state.withLock { state in
            guard let component else {
                state.level = level
                state.own = [:]
                for cell in state.cells.values { cell.level = level }
                rest.level = level
                return true
            }
            guard let cell = state.cells[component] else { return false }
            state.own[component] = level
            cell.level = level
            return true
        }
    }

    func cell(of component: String) -> LogLevelCell {
        state.withLock { state in
            if let known = state.cells[component] { return known }
            guard state.cells.count < LogControl.componentsMax else { return rest }
            let made = LogLevelCell(state.own[component] ?? state.level)
            state.cells[component] = made
            return made
        }
    }
}

/// The level of one component, shared by all its loggers.
final class LogLevelCell: Sendable {
    private let raw: Atomic<Int>

    init(_ level: Logger.Level) { raw = Atomic(level.number) }

    var level: Logger.Level {
        get { Logger.Level.allCases[raw.load(ordering: .relaxed)] }
        set { raw.store(newValue.number, ordering: .relaxed) }
    }
}

extension Logger.Level {
    /// Its place in `allCases`.
    fileprivate var number: Int {
        switch self {
        case .trace: 0
        case .debug: 1
        case .info: 2
        case .notice: 3
        case .warning: 4
        case .error: 5
        case .critical: 6
        }
    }
}

extension LogFormat {
    /// Its place in `allCases`.
    fileprivate var number: Int {
        switch self {
        case .json: 0
        case .console: 1
        }
    }
}

extension Logger {
    /// A logger of another component of the program, with this one's metadata. Its level is that component's.
    package func component(_ name: String) -> Logger {
        var logger = self
        logger[metadataKey: LineLogHandler.componentKey] = .string(name)
        return logger
    }
}
