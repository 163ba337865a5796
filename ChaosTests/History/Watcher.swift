import MetadataClient
import MetadataModel
import Synchronization

/// Follows the changes through the library, and lets go now and then to go on where it stood.
final class Watcher: Sendable {
    private struct State {
        var position = Version.zero
        var task: Task<Void, Never>?
    }

    let name: String
    private let client: MetadataClient
    private let filter: WatchFilter
    private let recorder: HistoryRecorder
    private let state = Mutex(State())
    /// After so many events the watch is given up and taken up again.
    private static let eventsPerWatch = 150

    init(name: String, client: MetadataClient, filter: WatchFilter, recorder: HistoryRecorder) {
        self.name = name
        self.client = client
        self.filter = filter
        self.recorder = recorder
    }

    /// It has been told of everything up to here.
    var position: Version { state.withLock { $0.position } }

    func start(after version: Version) {
        begin(after: version)
        let task = Task { await run() }
        state.withLock { $0.task = task }
    }

    func stop() async {
        let task = state.withLock { $0.task }
        task?.cancel()
        await task?.value
    }

    private func begin(after version: Version) {
        state.withLock { $0.position = version }
        recorder.append(HistoryRecorder.Delivery(watch: name, events: [], through: version, isStart: true))
    }

    private func run() async {
        while !Task.isCancelled {
            do {
                try await follow()
                // Given up by itself, or the client is closed: not asked for without end.
                try? await Task.sleep(for: .milliseconds(20))
            } catch {
                // The cluster refuses it only when it is asked for nonsense; the run will find the watch behind.
                print("watch \(name) ended: \(error)")
                return
            }
        }
    }

    private func follow() async throws(MetadataError) {
        var events = 0
        var iterator = client.watch(after: position, filter: filter).makeAsyncIterator()
        while events < Watcher.eventsPerWatch, let event = try await iterator.next() {
            switch event {
            case .changes(let change):
                events += 1
                told([change], through: change.version)
            case .progress(let version):
                told([], through: version)
            case .restart:
                // As a reader would: everything is read again, and followed from there.
                return begin(after: try await client.summary(timeout: .seconds(20)).version)
            }
        }
    }

    private func told(_ events: [ChangeEvent], through version: Version) {
        state.withLock { $0.position = max($0.position, version) }
        recorder.append(HistoryRecorder.Delivery(watch: name, events: events, through: version))
    }
}
