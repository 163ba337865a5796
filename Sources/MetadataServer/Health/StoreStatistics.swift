import MetadataStore
import Synchronization

/// The caches of the database, as the latest health checks found them.
final class StoreStatistics: Sendable {
    private let latest = Mutex((writer: CacheStatistics(), reader: CacheStatistics()))

    func update(writer: CacheStatistics) { latest.withLock { $0.writer = writer } }
    func update(reader: CacheStatistics) { latest.withLock { $0.reader = reader } }

    var writer: CacheStatistics { latest.withLock { $0.writer } }
    var reader: CacheStatistics { latest.withLock { $0.reader } }
}
