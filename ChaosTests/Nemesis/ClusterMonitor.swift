import Foundation
import MetadataClient
import MetadataModel
import RaftCore
import Simulation
import Synchronization

/// Looks at all nodes several times a second: who leads, in which term, how large their processes are. What it sees is also
/// judged: a term has one leader, and equal positions have equal digests, at any moment.
final class ClusterMonitor: Sendable {
    struct NodeSample: Sendable {
        var id: Int
        /// Nil when the node did not answer.
        var role: String?
        var term: UInt64 = 0
        var isHealthy = false
        /// Nil when there is no process.
        var process: ProcessReading?
        /// In its data directory.
        var files = 0
    }

    struct Sample: Sendable {
        var at: UInt64
        var nodes: [NodeSample]

        /// Of the highest term, if it answers.
        var leader: (id: Int, term: UInt64)? {
            nodes.filter { $0.role == "leader" }.max { $0.term < $1.term }.map { ($0.id, $0.term) }
        }
        var term: UInt64 { nodes.map(\.term).max() ?? 0 }
    }

    private struct State {
        var samples: [Sample] = []
        var violations: [Violation] = []
        var digests = DigestChecker()
        var elections = ElectionSafetyChecker()
        var task: Task<Void, Never>?
    }

    static let interval = Duration.milliseconds(200)
    /// A node that does not answer for this long is not waited for.
    private static let patience = Duration.milliseconds(300)

    private let cluster: LocalCluster
    private let client: MetadataClient
    private let clock: RunClock
    private let state = Mutex(State())

    init(_ cluster: LocalCluster, clock: RunClock) async {
        self.cluster = cluster
        self.clock = clock
        client = await cluster.client()
    }

    func start() {
        let task = Task {
            while !Task.isCancelled {
                let sample = await look()
                state.withLock { $0.samples.append(sample) }
                // Cut short, it only ends.
                try? await Task.sleep(for: ClusterMonitor.interval)
            }
        }
        state.withLock { $0.task = task }
    }

    func stop() async {
        let task = state.withLock { $0.task }
        task?.cancel()
        await task?.value
        await client.close()
    }

    var samples: [Sample] { state.withLock { $0.samples } }
    var latest: Sample? { state.withLock { $0.samples.last } }
    var violations: [Violation] { state.withLock { $0.violations } }

    /// Looks at once.
    func look() async -> Sample {
        let answers = await client.nodeStatuses(timeout: ClusterMonitor.patience)
        let at = clock.now
        var nodes: [NodeSample] = []
        for node in await cluster.nodes {
            var sample = NodeSample(id: node.id)
            sample.process = await cluster.processID(of: node.id).flatMap { ProcessReading($0) }
            sample.files =
                FileManager.default.enumerator(atPath: cluster.directory(of: node.id).path)?.count { _ in true }
                ?? 0
            for case .success(let status) in answers.map(\.status) where status.nodeID == UInt64(node.id) {
                sample.role = status.role
                sample.term = status.term
                sample.isHealthy = status.healthy
                judge(status)
            }
            nodes.append(sample)
        }
        return Sample(at: at, nodes: nodes)
    }

    private func judge(_ status: NodeStatusReport) {
        let node = NodeID(status.nodeID)
        state.withLock { state in
            do throws(Violation) {
                if status.role == "leader" { try state.elections.leads(node, in: Term(status.term)) }
                try state.digests.reaches(status.digest, at: LogIndex(status.appliedIndex), on: node)
            } catch {
                state.violations.append(error)
            }
        }
    }

    /// Looks until something is so.
    func wait(
        for what: String, within patience: Duration, _ isSo: @Sendable (Sample) -> Bool
    ) async throws -> Sample {
        let deadline = ContinuousClock.now + patience
        while true {
            let sample = await look()
            if isSo(sample) { return sample }
            guard ContinuousClock.now < deadline else {
                throw LocalCluster.HarnessFailure(description: "not within \(patience): \(what)")
            }
            try await Task.sleep(for: .milliseconds(30))
        }
    }
}
