import MetadataClient

/// Ends the leader again and again while writers run, and measures how long no write succeeds.
struct FailoverRunner {
    var rounds: Int
    var clients: Int
    /// The writers' lanes; their successes go to `meter`.
    var lanes: [BenchLane]
    var meter: GapMeter
    /// Asks the nodes how they are; not one of the writers' clients.
    var monitor: MetadataClient
    /// What `kill` does; for the report.
    var end = LeaderEnd.killed
    /// Ends the process of a node.
    var kill: (UInt64) async throws -> Void
    /// Has it started again, or leaves that to whoever supervises it.
    var start: (UInt64) async throws -> Void
    /// How long writes flow before a kill, so that the gap begins under load.
    var settle: Duration
    /// How long a round is observed after the kill, at least.
    var observation: Duration
    /// How long the cluster may take to accept writes again, and to be whole again.
    var recovery: Duration
    /// How long to wait at the end for answers that are out.
    var grace: Duration
    var console: Console

    private static let pause: Duration = .milliseconds(5)
    private static let statusPause: Duration = .milliseconds(100)
    /// Writes have resumed when one succeeded as recently as this.
    private static let freshness: Duration = .milliseconds(200)
    private static let statusTimeout: Duration = .seconds(2)

    private var clock: ContinuousClock { ContinuousClock() }

    /// All rounds, and the failed writes by code.
    func run() async throws -> (rounds: [FailoverRound], errors: [String: Int]) {
        let results: [FailoverRound]
        lanes.start(clients: clients)
        do {
            results = try await runRounds()
        } catch {
            for lane in lanes { lane.stop() }
            throw error
        }
        try await waitUntilWhole()
        try await lanes.stop(grace: grace)
        var latencies = Latencies()
        var errors: [String: Int] = [:]
        for lane in lanes { lane.collect(into: &latencies, errors: &errors) }
        return (results, errors)
    }

    private func runRounds() async throws -> [FailoverRound] {
        var results: [FailoverRound] = []
        for round in 1...rounds {
            let result = try await run(round: round)
            try console.progress(result.table)
            results.append(result)
        }
        return results
    }

    private func run(round: Int) async throws -> FailoverRound {
        try await waitUntilWhole()
        try await pump(for: settle)
        guard let leader = try await currentLeader() else {
            throw CommandFailure.unavailable(code: "no_leader", "no leader before the kill of round \(round)")
        }
        meter.begin(at: clock.now)
        let killed = clock.now
        try await kill(leader.node)
        try await waitForWrites(since: killed, round: round)
        let gap = meter.longest(at: clock.now)
        let writes = meter.successes
        let successor = try await waitForSuccessor(of: leader, round: round)
        try await start(leader.node)
        return FailoverRound(
            round: round, end: end, killedNode: leader.node, newLeader: successor.node, newTerm: successor.term,
            gapMs: Numbers.rounded(gap.inMilliseconds), writes: writes)
    }

    /// Keeps the writers going for a while.
    private func pump(for duration: Duration) async throws {
        let end = clock.now + duration
        while clock.now < end {
            lanes.resumeParked()
            try await clock.sleep(for: FailoverRunner.pause)
        }
    }

    /// Until the round was observed for long enough and writes succeed again.
    private func waitForWrites(since killed: ContinuousClock.Instant, round: Int) async throws {
        // Shorter, and the writes before the kill would pass for fresh ones.
        let observation = max(observation, FailoverRunner.freshness * 2)
        while true {
            try await pump(for: FailoverRunner.pause)
            let now = clock.now
            let isFresh = meter.lastSuccess.map { now - $0 < FailoverRunner.freshness } ?? false
            if isFresh, now - killed >= observation { return }
            guard now - killed < recovery else {
                throw CommandFailure.unavailable(
                    code: "no_recovery", "no write succeeded within \(recovery) after the kill of round \(round)")
            }
        }
    }

    private struct Leader {
        var node: UInt64
        var term: UInt64
    }

    private func currentLeader() async throws -> Leader? {
        let fresh = StatusReport(await monitor.nodeStatuses(timeout: FailoverRunner.statusTimeout))
        guard let node = fresh.leader, let term = fresh.term else { return nil }
        return Leader(node: node, term: term)
    }

    /// That somebody leads in a later term shows that the fault happened at all.
    private func waitForSuccessor(of leader: Leader, round: Int) async throws -> Leader {
        let deadline = clock.now + recovery
        while clock.now < deadline {
            let status = StatusReport(await monitor.nodeStatuses(timeout: FailoverRunner.statusTimeout))
            if let node = status.leader, let term = status.term, term > leader.term {
                return Leader(node: node, term: term)
            }
            try await pump(for: FailoverRunner.statusPause)
        }
        throw CommandFailure.unavailable(
            code: "no_failover",
            "node \(leader.node) was killed in round \(round), yet no term after \(leader.term) has a leader: was it the leader?"
        )
    }

    /// Until every member answers, is healthy and follows the same leader.
    private func waitUntilWhole() async throws {
        let deadline = clock.now + recovery
        while true {
            let status = StatusReport(await monitor.nodeStatuses(timeout: FailoverRunner.statusTimeout))
            let isWhole =
                status.leader != nil && status.nodes.allSatisfy { $0.healthy && $0.term == status.term }
            if isWhole { return }
            guard clock.now < deadline else {
                let sick = status.nodes.filter { !$0.healthy }.map {
                    "\($0.address) (\($0.role): \($0.detail ?? "no reason given"))"
                }
                throw CommandFailure.unavailable(
                    code: "cluster_not_whole",
                    "not all nodes became healthy within \(recovery): \(sick.joined(separator: ", "))")
            }
            try await pump(for: FailoverRunner.statusPause)
        }
    }
}
