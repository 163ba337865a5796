import Logging
import ServiceLifecycle
import Synchronization

/// What came of reading the settings again.
package struct ConfigurationReload: Hashable, Sendable {
    /// False: the settings could not be read or are wrong, and nothing was changed.
    package var isDone: Bool
    /// For the log and for whoever asked: what changed, what waits for a restart, or what is wrong.
    package var detail: String
}

/// Reads the settings again when somebody asks, one at a time, and has the parts of the node take over what they can. Everything
/// is checked as at a start; a file with a mistake changes nothing.
package final class ConfigurationReloads: Service {
    /// Requests that wait, at most; each reads the same file.
    static let pendingMax = 16

    private struct Request: Sendable {
        var who: String
        var done: @Sendable (ConfigurationReload) -> Void
    }

    private let load: @Sendable () async throws(ConfigurationProblems) -> NodeConfiguration
    private let current: Mutex<NodeConfiguration>
    private let takers = Mutex<[@Sendable (NodeConfiguration, Set<String>) -> Void]>([])
    private let logger: Logger
    private let requests: AsyncStream<Request>
    private let inbox: AsyncStream<Request>.Continuation

    /// - Parameter load: reads all sources, as at the start.
    package init(
        _ configuration: NodeConfiguration, logger: Logger,
        load: @escaping @Sendable () async throws(ConfigurationProblems) -> NodeConfiguration
    ) {
        current = Mutex(configuration)
        self.load = load
        self.logger = logger
        (requests, inbox) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(ConfigurationReloads.pendingMax))
    }

    /// Has `take` called with what is in force after each reload, and with the keys that changed.
    package func onChange(_ take: @escaping @Sendable (NodeConfiguration, Set<String>) -> Void) {
        takers.withLock { $0.append(take) }
    }

    /// - Parameters:
    ///   - who: asks for it; for the log.
    ///   - done: called once, on any thread.
    package func request(by who: String, then done: @escaping @Sendable (ConfigurationReload) -> Void = { _ in }) {
        switch inbox.yield(Request(who: who, done: done)) {
        case .enqueued: break
        case .dropped: done(ConfigurationReload(isDone: false, detail: "too many reloads wait"))
        case .terminated: done(ConfigurationReload(isDone: false, detail: "the node is stopping"))
        @unknown default: done(ConfigurationReload(isDone: false, detail: "the request was lost"))
        }
    }

    /// Until the node stops. Requests that still wait then are answered too.
    package func run() async throws {
        await withGracefulShutdownHandler {
            for await request in requests {
                let outcome = await reload()
                if outcome.isDone {
                    logger.notice("settings read again: \(outcome.detail)", metadata: ["by": "\(request.who)"])
                } else {
                    logger.error(
                        "settings not taken over, nothing was changed",
                        metadata: ["by": "\(request.who)", "error": "\(outcome.detail)"])
                }
                request.done(outcome)
            }
        } onGracefulShutdown: { [inbox] in
            inbox.finish()
        }
    }

    private func reload() async -> ConfigurationReload {
        let next: NodeConfiguration
        do {
            next = try await load()
        } catch {
            return ConfigurationReload(isDone: false, detail: error.problems.map(\.description).joined(separator: "; "))
        }
        let before = current.withLock(\.self)
        let changes = before.changes(to: next)
        let taken = before.taking(over: next)
        current.withLock { $0 = taken }
        let applied = changes.filter { NodeConfiguration.reloadableKeys.contains($0.key) }
        for take in takers.withLock(\.self) { take(taken, Set(applied.map(\.key))) }
        let waiting = changes.filter { !NodeConfiguration.reloadableKeys.contains($0.key) }
        return ConfigurationReload(isDone: true, detail: Self.summary(applied, waiting))
    }

    private static func summary(_ applied: [NodeConfiguration.Change], _ waiting: [NodeConfiguration.Change]) -> String
    {
        func list(_ changes: [NodeConfiguration.Change]) -> String {
            changes.map(\.description).joined(separator: ", ")
        }
        let changed = applied.isEmpty ? "nothing changed" : "changed " + list(applied)
        return waiting.isEmpty ? changed : "\(changed); needs a restart: \(list(waiting))"
    }
}
