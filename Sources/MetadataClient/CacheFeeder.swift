import Logging
import MetadataModel

/// Keeps a `CacheCore` current: lists everything, then watches; again when the watch cannot go on. `ImageFollower` decides.
struct CacheFeeder: Sendable {
    let client: MetadataClient
    let core: CacheCore

    /// After trouble: long enough not to burden a cluster in trouble, short enough not to be waited for.
    private static let pause = Duration.milliseconds(250)

    /// Until the task is cancelled or the client is closed.
    func run() async {
        var follower = ImageFollower()
        while !Task.isCancelled {
            do {
                try await list(&follower)
                try await watch(&follower)
                if case .broken(let reason) = follower.state {
                    client.logger.info("the metadata is read again", metadata: ["reason": "\(reason)"])
                }
            } catch {
                if error.code == .clientClosed { break }
                client.logger.debug("the metadata cannot be followed", metadata: ["reason": "\(error)"])
            }
            core.follow(nil)
            if await !sleep() { break }
        }
        core.end()
    }

    // MARK: Listing

    private func list(_ follower: inout ImageFollower) async throws(MetadataError) {
        let begin = try await client.summary().version
        follower.begin(at: begin)
        // Any node that is as far will do.
        let level = ReadConsistency.atLeast(begin)
        follower.listed(
            brokers: try await insisting { () async throws(MetadataError) in
                try await client.brokers(consistency: level)
            })
        follower.listed(
            topics: try await insisting { () async throws(MetadataError) in
                try await client.topics(consistency: level)
            })
        var last: PartitionKey?
        while true {
            let page = try await insisting { () async throws(MetadataError) in
                try await client.partitions(.all, after: last, consistency: level)
            }
            follower.listed(partitions: page.items)
            last = page.items.last?.key
            guard page.hasMore, last != nil else { break }
        }
        let end = try await insisting { () async throws(MetadataError) in try await client.summary().version }
        follower.listedAll(by: max(end, core.image.version))
        if follower.isWhole { core.replace(follower.image) }
    }

    /// Asks again while the cluster is in trouble, so that a thousand pages are not thrown away for one.
    private func insisting<Value: Sendable>(
        _ body: () async throws(MetadataError) -> Value
    ) async throws(MetadataError) -> Value {
        while true {
            do {
                return try await body()
            } catch {
                switch error.category {
                case .fatal, .invalidInput: throw error
                case .retriable, .transient: if await !sleep() { throw error }
                }
            }
        }
    }

    // MARK: Watching

    /// Returns when the watch has ended or everything has to be read again.
    private func watch(_ follower: inout ImageFollower) async throws(MetadataError) {
        guard let after = follower.watchAfter else { return }
        let watch = client.watch(after: after)
        core.follow(watch.buffer)
        var touched: [(BrokerID, PartitionKey)] = []
        var events = watch.makeAsyncIterator()
        while let event = try await events.next() {
            let wasWhole = follower.isWhole
            touched.removeAll(keepingCapacity: true)
            let fits =
                wasWhole
                ? follower.apply(event) { touched.append(($0, $1)) }
                : follower.apply(event)
            guard fits else { return }
            if wasWhole {
                core.publish(follower.image, touched: touched)
            } else if follower.isWhole {
                core.replace(follower.image)
            }
        }
    }

    /// False when the task was cancelled.
    private func sleep() async -> Bool {
        do {
            try await Task.sleep(for: CacheFeeder.pause)
            return true
        } catch {
            return false
        }
    }
}
