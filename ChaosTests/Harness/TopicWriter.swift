import MetadataClient
import MetadataModel
import Synchronization

/// Creates topics without pause and keeps book of what it was told about each.
final class TopicWriter: Sendable {
    struct Book: Sendable {
        var acknowledged: Set<String> = []
        /// The client said that it does not know.
        var unknown: Set<String> = []
        /// The client said that it was not done.
        var failed: Set<String> = []
        /// The longest time between two acknowledgements.
        var longestGap: Duration = .zero
        var refusals: [String] = []
    }

    private let client: MetadataClient
    private let prefix: String
    private let pace: Duration
    private let book = Mutex(Book())
    private let isStopping = Mutex(false)

    /// - Parameter pace: a pause after each write.
    init(client: MetadataClient, prefix: String, pace: Duration = .zero) {
        self.client = client
        self.prefix = prefix
        self.pace = pace
    }

    /// Writes until `stop`; several may run on one client.
    func run() async {
        var number = 0
        var last = ContinuousClock.now
        while !isStopping.withLock({ $0 }) {
            number += 1
            let name = "\(prefix)-\(number)"
            do throws(MetadataError) {
                _ = try await client.createTopic(name: name, partitions: 1, replicationFactor: 1)
                let now = ContinuousClock.now
                book.withLock {
                    $0.acknowledged.insert(name)
                    $0.longestGap = max($0.longestGap, now - last)
                }
                last = now
            } catch {
                book.withLock { book in
                    if error.refusal != nil { book.refusals.append("\(name): \(error)") }
                    switch error.outcome {
                    case .definite: book.failed.insert(name)
                    case .indefinite: book.unknown.insert(name)
                    }
                }
            }
            guard pace > .zero else { continue }
            // Woken early by a cancellation it only writes sooner.
            try? await Task.sleep(for: pace)
        }
    }

    func stop() -> Book {
        isStopping.withLock { $0 = true }
        return book.withLock { $0 }
    }

    var acknowledgedCount: Int { book.withLock { $0.acknowledged.count } }
}
