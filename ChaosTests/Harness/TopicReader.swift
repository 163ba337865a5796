import MetadataClient
import MetadataModel
import Synchronization

/// Reads without pause, in turn on each level, and keeps what failed.
final class TopicReader: Sendable {
    private let client: MetadataClient
    private let errors = Mutex<[String]>([])
    private let isStopping = Mutex(false)

    init(client: MetadataClient) { self.client = client }

    var failures: [String] { errors.withLock { $0 } }

    func stop() { isStopping.withLock { $0 = true } }

    func run() async {
        var seen = Version.zero
        while !isStopping.withLock({ $0 }) {
            do {
                let fresh = try await client.summary().version
                if fresh < seen { errors.withLock { $0.append("version \(fresh) after \(seen)") } }
                seen = max(seen, fresh)
                let again = try await client.summary(consistency: .atLeast(seen)).version
                if again < seen { errors.withLock { $0.append("version \(again) where \(seen) was asked for") } }
                _ = try await client.summary(consistency: .stale(maxLagMilliseconds: 10_000))
            } catch {
                errors.withLock { $0.append("\(error)") }
            }
        }
    }
}
