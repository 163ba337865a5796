import MetadataModel
import Wire

/// Why a call failed, as the pure part of the client knows it: `MetadataError` without the name of the call and the time.
struct CallFailure: Error, Hashable, Sendable {
    var code: MetadataError.Code
    var outcome: MetadataError.Outcome
    var detail: String
    var refusal: Refusal?
    var retryAfter: Duration?
    /// What the node said of where and when it failed.
    var context: FailureContext?
    /// Under which the log of the node that refused has the request; nil when it was none's answer.
    var requestID: String?

    init(
        _ code: MetadataError.Code, _ outcome: MetadataError.Outcome, _ detail: String, refusal: Refusal? = nil,
        retryAfter: Duration? = nil, context: FailureContext? = nil
    ) {
        self.code = code
        self.outcome = outcome
        self.detail = detail
        self.refusal = refusal
        self.retryAfter = retryAfter
        self.context = context
    }

    /// What a node said instead of an answer.
    init(_ code: MetadataError.Code, _ outcome: MetadataError.Outcome, _ failure: ServiceFailure) {
        let pause = Int64(failure.retryAfterMilliseconds)
        self.init(
            code, outcome, failure.detail, retryAfter: pause == 0 ? nil : .milliseconds(pause), context: failure.context
        )
        requestID = failure.requestID.isEmpty ? nil : failure.requestID
    }

    static func refused(_ refusal: Refusal) -> CallFailure {
        CallFailure(.refused, .definite, refusal.detail, refusal: refusal)
    }

    var category: MetadataError.Category {
        switch code {
        case .refused: refusal.map { CallFailure.category(of: $0.reason) } ?? .invalidInput
        case .unavailable, .timedOut, .overloaded, .clientOverloaded, .circuitOpen, .storageFailed, .diskFull:
            .transient
        case .sessionLost, .unknownBroker: .retriable
        case .wrongCluster, .unsupportedProtocol, .protocolViolation, .clientClosed, .cancelled: .fatal
        case .invalidRequest: .invalidInput
        }
    }

    private static func category(of reason: Refusal.Reason) -> MetadataError.Category {
        switch reason {
        case .notEnoughBrokers, .brokerFenced, .eligibleLeadersNotAvailable, .rebalanceInProgress: .transient
        case .sessionExpired: .retriable
        case .unknownCommand, .unsupportedFeature, .sequenceOutOfWindow: .fatal
        case .invalidRequest, .invalidTopicName, .invalidPartitionCount, .invalidReplicationFactor, .invalidAssignment,
            .invalidConfig, .topicExists, .topicNotFound, .partitionNotFound, .brokerNotFound, .brokerIDInUse,
            .staleBrokerEpoch, .staleLeaderEpoch, .stalePartitionEpoch, .versionMismatch, .notLeaderOfPartition,
            .notInReplicas, .notInISR, .brokerNotEmpty, .limitExceeded, .noReassignmentInProgress,
            .noRebalanceInProgress:
            .invalidInput
        }
    }
}
