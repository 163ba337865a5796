import MetadataClient
import MetadataModel
import Synchronization

/// Watches for new topics; each has to be told of once, in the order of versions, and the watch never breaks.
final class TopicWatcher: Sendable {
    private struct State {
        var heard: Set<String> = []
        var last: Version
        var failures: [String] = []
    }

    private let watch: MetadataWatch
    private let state: Mutex<State>

    init(client: MetadataClient, after version: Version) {
        watch = client.watch(after: version)
        state = Mutex(State(last: version))
    }

    var heard: Set<String> { state.withLock { $0.heard } }
    var failures: [String] { state.withLock { $0.failures } }

    /// Until the task is cancelled.
    func run() async {
        do {
            for try await event in watch { hears(event) }
            guard !Task.isCancelled else { return }
            state.withLock { $0.failures.append("it ended") }
        } catch {
            state.withLock { $0.failures.append("\(error)") }
        }
    }

    private func hears(_ event: WatchEvent) {
        state.withLock { state in
            switch event {
            case .changes(let event):
                if event.version <= state.last {
                    state.failures.append("version \(event.version) after \(state.last)")
                }
                state.last = event.version
                for case .topicChanged(let topic) in event.changes where !state.heard.insert(topic.name).inserted {
                    state.failures.append("\(topic.name) was created twice")
                }
            case .progress(let version): state.last = max(state.last, version)
            case .restart(let oldest): state.failures.append("changes before \(oldest) were forgotten")
            }
        }
    }
}
