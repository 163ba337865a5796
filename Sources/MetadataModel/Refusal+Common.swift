/// Refusals that more than one place gives: the same sentence for a command and for a query.
extension Refusal {
    package static func unknownCommand(index: UInt64) -> Refusal {
        Refusal(.unknownCommand, "entry \(index) holds a command that this state machine does not know")
    }

    package static func sessionExpired(_ id: SessionID) -> Refusal {
        Refusal(
            .sessionExpired,
            "session \(id) is not known: it expired, was closed or never opened; this write was not done, an earlier "
                + "attempt may have been")
    }

    package static func topicNotFound(_ reference: TopicReference) -> Refusal {
        switch reference {
        case .name(let name): Refusal(.topicNotFound, "there is no topic named '\(name.excerpt)'")
        case .id(let id): Refusal(.topicNotFound, "there is no topic with id \(id)")
        }
    }

    package static func partitionNotFound(_ topic: Topic, _ index: PartitionIndex) -> Refusal {
        Refusal(
            .partitionNotFound,
            "topic '\(topic.name)' has no partition \(index), only 0 to \(topic.partitionCount - 1)")
    }

    package static func brokerNotFound(_ id: BrokerID) -> Refusal {
        Refusal(.brokerNotFound, "broker \(id) is not registered")
    }

    static func staleBrokerEpoch(_ broker: Broker, given: BrokerEpoch) -> Refusal {
        Refusal(.staleBrokerEpoch, "broker \(broker.id) has epoch \(broker.epoch), not \(given)")
    }

    static func brokerNotActive(_ broker: Broker) -> Refusal {
        Refusal(.brokerFenced, "broker \(broker.id) is \(broker.state.rawValue), not active")
    }
}

extension TopicID: CustomStringConvertible {
    /// 32 hexadecimal digits.
    public var description: String { TopicID.hexadecimal(high) + TopicID.hexadecimal(low) }

    package var isZero: Bool { high == 0 && low == 0 }

    private static func hexadecimal(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
