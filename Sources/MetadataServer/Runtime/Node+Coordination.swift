import Coordination
import Logging
import MetadataModel
import MetadataStore
import NIOCore
import Replica
import Resilience

/// Rebalances since the start of the process, as the log showed them to this node.
struct RebalanceReading: Sendable {
    var started: UInt64 = 0
    var ended: [Rebalance.Ending: UInt64] = [:]
    /// The one that began or ended last.
    var latest: Rebalance?
    /// How long the latest took, by the log's time.
    var lastMilliseconds: UInt64?

    mutating func count(_ rebalance: Rebalance) {
        latest = rebalance
        switch rebalance.state {
        case .running:
            started += 1
        case .ended(let ending, let milliseconds, _):
            ended[ending, default: 0] += 1
            lastMilliseconds = milliseconds - min(rebalance.startedMilliseconds, milliseconds)
        }
    }
}

/// What the node does for its coordinator.
extension Node {
    /// Reads for the coordinator, unless its reads keep failing: then it is told at once and asks again in a while.
    func survey(_ request: SurveyRequest) {
        // Of an earlier leadership, whose survey is of no interest any more.
        record(.neutral)
        do throws(CircuitBreaker.Rejection) {
            surveyPermit = try coordinatorBreaker.admit()
            surveyTicket = request.ticket
            storage.survey(request)
        } catch {
            replica.surveyFailed(ticket: request.ticket)
        }
    }

    /// Threads that do not get on are replaced, or the process ends.
    func supervise() {
        for action in supervision.check(now: .now(), busy: storage.busySince) {
            switch action {
            case .replace(let part):
                loggers.coordinator.error(
                    "a thread does not get on; another takes its place", metadata: ["part": "\(part.rawValue)"])
                do {
                    try storage.replaceSurveyor()
                } catch {
                    fail(error)
                }
                record(.failure)
                replica.surveyFailed(ticket: surveyTicket)
            case .giveUp(let stuck):
                fail(stuck)
            }
        }
    }

    private func record(_ outcome: CircuitBreaker.Outcome) {
        guard let permit = surveyPermit else { return }
        surveyPermit = nil
        coordinatorBreaker.record(outcome, of: permit)
    }

    func surveyed(_ result: Result<SurveyReport, StoreError>, _ request: SurveyRequest) {
        switch result {
        case .success(let report):
            if request.ticket == surveyTicket { record(.success) }
            replica.surveyed(report)
        case .failure(let error):
            if request.ticket == surveyTicket { record(.failure) }
            loggers.coordinator.error("the coordinator could not read the state", metadata: ["error": "\(error)"])
            operations.retried(.survey)
            replica.surveyFailed(ticket: request.ticket)
            if !error.isRetriable { databaseFailed(error) }
        }
        endTurnSoon()
    }

    /// Says that somebody waited for its turn in vain, or that a rebalance which others would wait for does not get on.
    func noteTurns(_ coordinator: CoordinatorStatus?) {
        let counts = replica.rebalanceTurns.counts
        for _ in turnCounts.timedOut..<counts.timedOut { gate.late("rebalance_turn") }
        if counts.stale > turnCounts.stale {
            loggers.coordinator.warning(
                "the rebalance does not get on",
                metadata: [
                    "for_seconds": "\(settings.replica.turns.staleAfter / 1_000)",
                    "activity": "\(coordinator?.activity.rawValue ?? "unknown")",
                    "detail": "\(coordinator?.detail ?? "")", "waiting": "\(replica.rebalanceTurns.waiting)",
                ])
        }
        turnCounts = counts
    }

    func note(_ rebalance: Rebalance) {
        rebalances.count(rebalance)
        var facts: Logger.Metadata = [
            "rebalance": "\(rebalance.id)", "strategy": "\(rebalance.strategy.rawValue)",
            "origin": "\(rebalance.origin.rawValue)",
        ]
        switch rebalance.state {
        case .running:
            loggers.coordinator.notice("rebalance started", metadata: facts)
        case .ended(let ending, let milliseconds, let detail):
            facts["ending"] = "\(ending.rawValue)"
            facts["milliseconds"] = "\(milliseconds - min(rebalance.startedMilliseconds, milliseconds))"
            if !detail.isEmpty { facts["detail"] = "\(detail)" }
            loggers.coordinator.notice("rebalance ended", metadata: facts)
        }
    }
}
