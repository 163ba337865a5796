import Foundation
import MetadataClient
import Testing

/// Strikes the leader again and again under a load, and measures how long nobody could write and how soon the struck node was
/// back after the fault had ended.
struct LeaderFaultRounds {
    /// What was measured.
    struct Result {
        var pauses: [Duration] = []
        var returns: [Duration] = []
    }

    /// `CHAOS_ROUNDS=100` for a distribution; a few show that it works.
    static let count = max(1, Int(ProcessInfo.processInfo.environment["CHAOS_ROUNDS"] ?? "") ?? 3)
    /// Whether there are enough to speak of a distribution, and nothing else runs: then the targets hold.
    static var isMeasured: Bool { count >= 100 }

    let load: CounterLoad
    /// Asks the nodes how they are; not the client of the writers.
    let monitor: MetadataClient
    /// How long the fault lasts beyond the first writes without the leader; drawn anew each time.
    var lasts = 500...2_500
    /// Brings the fault upon a node, and ends it.
    let begin: (Int) async throws -> Void
    let end: (Int) async throws -> Void

    private static let patience: Duration = .seconds(60)

    func run() async throws -> Result {
        var result = Result()
        for round in 1...Self.count {
            let (leader, term) = try await whole()
            try await Task.sleep(for: .milliseconds(300))
            load.observe()
            try await begin(leader)
            let successor = try await writesWithout(leader, after: term)
            try await Task.sleep(for: .milliseconds(Int.random(in: lasts)))
            let pause = load.longestPause
            var target: UInt64?
            try await until("node \(successor) tells what is committed") { seen in
                target = seen.first { $0.nodeID == UInt64(successor) }?.commitIndex
                return target != nil
            }
            let committed = try #require(target)
            try await end(leader)
            let ended = ContinuousClock.now
            try await until("node \(leader) is back") { seen in
                seen.contains {
                    $0.nodeID == UInt64(leader) && $0.role == "follower" && $0.leader != nil
                        && $0.appliedIndex >= committed
                }
            }
            let back = ContinuousClock.now - ended
            print("round \(round): node \(leader), no write for \(pause), back after \(back)")
            result.pauses.append(pause)
            result.returns.append(back)
        }
        return result
    }

    /// The leader and its term once all follow it.
    private func whole() async throws -> (leader: Int, term: UInt64) {
        var found: (Int, UInt64)?
        try await until("all nodes are well") { seen in
            let terms = Set(seen.map(\.term))
            let leaders = seen.filter { $0.role == "leader" }
            guard seen.count == 3, terms.count == 1, leaders.count == 1, seen.allSatisfy(\.healthy) else {
                return false
            }
            found = (Int(leaders[0].nodeID), leaders[0].term)
            return true
        }
        return try #require(found)
    }

    /// Waits for a leader of a later term and for writes that succeeded since; its number.
    private func writesWithout(_ leader: Int, after term: UInt64) async throws -> Int {
        var successor: Int?
        try await until("somebody else leads") { seen in
            successor = seen.first { $0.role == "leader" && $0.term > term && $0.nodeID != UInt64(leader) }
                .map { Int($0.nodeID) }
            return successor != nil
        }
        let before = load.successes
        try await until("writes go on") { _ in load.successes >= before + 20 }
        return try #require(successor)
    }

    private func statuses() async -> [NodeStatusReport] {
        await monitor.nodeStatuses(timeout: .seconds(1)).compactMap { answer in
            guard case .success(let status) = answer.status else { return nil }
            return status
        }
    }

    private func until(_ what: String, _ isSo: ([NodeStatusReport]) async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while try await !isSo(statuses()) {
            guard ContinuousClock.now < deadline else {
                let seen = await statuses().map { "\($0.nodeID) \($0.role) in term \($0.term), \($0.detail)" }
                throw LocalCluster.HarnessFailure(description: "not within \(Self.patience): \(what): \(seen)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
