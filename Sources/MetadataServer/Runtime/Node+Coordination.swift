import Coordination
import Logging
import MetadataModel
import MetadataStore
import Replica
import Resilience

/// Rebalances since the start of the process, as the log showed them to this node.
struct RebalanceReading: Sendable {
    var started: UInt64 = 0
    var ended: [Rebalance.Ending: UInt64] = [:]
    /// How long the latest took, by the log's time.
    var lastMilliseconds: UInt64?

    mutating func count(_ rebalance: Rebalance) {
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
        do throws(CircuitBreaker.Rejection) {
            surveyPermit = try coordinatorBreaker.admit()
            storage.survey(request)
        } catch {
            replica.surveyFailed(ticket: request.ticket)
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
            record(.success)
            replica.surveyed(report)
        case .failure(let error):
            record(.failure)
            logger.error("the coordinator could not read the state", metadata: ["error": "\(error)"])
            replica.surveyFailed(ticket: request.ticket)
            if !error.isRetriable { databaseFailed(error) }
        }
        endTurnSoon()
    }

    func note(_ rebalance: Rebalance) {
        rebalances.count(rebalance)
        var facts: Logger.Metadata = [
            "rebalance": "\(rebalance.id)", "strategy": "\(rebalance.strategy.rawValue)",
            "origin": "\(rebalance.origin.rawValue)",
        ]
        switch rebalance.state {
        case .running:
            logger.notice("rebalance started", metadata: facts)
        case .ended(let ending, let milliseconds, let detail):
            facts["ending"] = "\(ending.rawValue)"
            facts["milliseconds"] = "\(milliseconds - min(rebalance.startedMilliseconds, milliseconds))"
            if !detail.isEmpty { facts["detail"] = "\(detail)" }
            logger.notice("rebalance ended", metadata: facts)
        }
    }
}
