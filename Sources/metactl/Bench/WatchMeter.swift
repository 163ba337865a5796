import MetadataModel
import Synchronization

/// Notes when changes are seen by how many watchers, from any thread.
final class WatchMeter: Sendable {
    private struct Sighting {
        var count = 0
        var last: ContinuousClock.Instant
    }

    private let sightings = Mutex<[Version: Sighting]>([:])
    /// So many watch.
    let watchers: Int

    init(watchers: Int) { self.watchers = watchers }

    /// One of them has been told of the changes of this version.
    func saw(_ version: Version, at now: ContinuousClock.Instant = .now) {
        sightings.withLock { sightings in
            var sighting = sightings[version] ?? Sighting(last: now)
            sighting.count += 1
            sighting.last = max(sighting.last, now)
            sightings[version] = sighting
        }
    }

    /// How many were told of it.
    func count(_ version: Version) -> Int { sightings.withLock { $0[version]?.count ?? 0 } }

    /// When the last of the watchers was told; nil while one is not.
    func seenByAll(_ version: Version) -> ContinuousClock.Instant? {
        sightings.withLock { sightings in
            guard let sighting = sightings[version], sighting.count >= watchers else { return nil }
            return sighting.last
        }
    }
}
