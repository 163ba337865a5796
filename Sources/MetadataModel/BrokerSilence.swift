/// For how long a broker was not heard by those who led the quorum meanwhile.
public struct BrokerSilence: Hashable, Sendable {
    /// The broker.
    public var broker: BrokerID
    /// Its registration.
    public var epoch: BrokerEpoch
    /// Zero: it is heard.
    public var milliseconds: UInt64

    /// Takes the fields as they are; nothing is checked before the state machine decides.
    public init(broker: BrokerID, epoch: BrokerEpoch, milliseconds: UInt64) {
        self.broker = broker
        self.epoch = epoch
        self.milliseconds = milliseconds
    }
}

/// The brokers that are silent, as the log says: a new leader counts on from there, so that elections do not keep a dead
/// broker alive.
///
/// Like `Rebalance` it is a configuration row of the cluster that only its own command writes; there is none while everybody
/// is heard. Healthy brokers are not in it.
package struct BrokerSilences: Hashable, Sendable {
    private var rows: [BrokerID: BrokerSilence] = [:]

    package init() {}

    package static let configName = "coordinator.silence"

    package var isEmpty: Bool { rows.isEmpty }
    /// By broker.
    package var sorted: [BrokerSilence] { rows.values.sorted { $0.broker < $1.broker } }

    /// What is noted of this registration of the broker; zero when it is heard.
    package func milliseconds(of broker: BrokerID, _ epoch: BrokerEpoch) -> UInt64 {
        guard let row = rows[broker], row.epoch == epoch else { return 0 }
        return row.milliseconds
    }

    /// Takes the place of what was noted of the broker. When `Limits.silentBrokersMax` are silent the next has to wait until
    /// others are fenced.
    mutating func note(_ silence: BrokerSilence) {
        rows[silence.broker] = nil
        guard silence.milliseconds > 0, rows.count < Limits.silentBrokersMax else { return }
        rows[silence.broker] = silence
    }

    mutating func remove(_ broker: BrokerID) { rows[broker] = nil }
}

extension BrokerSilences {
    /// `3:17:15000 4:21:20000`: broker, epoch, milliseconds.
    package var text: String {
        sorted.map { "\($0.broker):\($0.epoch):\($0.milliseconds)" }.joined(separator: " ")
    }

    /// What the row says; a text that is none says nothing, and so does no row.
    package init(text: String?) {
        guard let text else { return }
        for item in text.split(separator: " ") {
            let parts = item.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, let broker = Int32(parts[0]), let epoch = UInt64(parts[1]),
                let milliseconds = UInt64(parts[2])
            else {
                rows = [:]
                return
            }
            note(BrokerSilence(broker: BrokerID(broker), epoch: BrokerEpoch(epoch), milliseconds: milliseconds))
        }
    }

    /// What a change that watchers are told of makes of it; nil when it is about something else.
    package init?(_ change: ObservedChange) {
        switch change {
        case .configChanged(let entry):
            guard entry.resource == .cluster, entry.name == BrokerSilences.configName else { return nil }
            self.init(text: entry.value)
        case .configRemoved(let resource, let name):
            guard resource == .cluster, name == BrokerSilences.configName else { return nil }
            self.init()
        case .brokerChanged, .brokerRemoved, .topicChanged, .topicRemoved, .partitionChanged:
            return nil
        }
    }
}

extension Decider {
    /// Each note counts by itself; one about a broker that may not lead any more, or about an earlier registration, says nothing.
    func noteSilence(_ notes: [BrokerSilence]) throws(Failure) -> Decision {
        guard try knowsSteps() else { return .refused(.unknownCommand(index: index)) }
        guard notes.count <= Limits.silentBrokersMax else {
            return .refused(
                .limitExceeded, "the silence of \(notes.count) brokers is noted, \(Limits.silentBrokersMax) are allowed"
            )
        }
        let row = try view.config(.cluster, name: BrokerSilences.configName)
        var silences = BrokerSilences(text: row?.value)
        for known in silences.sorted where try !isWatched(known) { silences.remove(known.broker) }
        for note in notes where try isWatched(note) { silences.note(note) }
        let text = silences.text
        guard text != row?.value ?? "" else { return .unchanged }
        let after = ConfigEntry(resource: .cluster, name: BrokerSilences.configName, value: text, version: version)
        return .done(changes: [.config(before: row, after: text.isEmpty ? nil : after)], result: nil)
    }

    /// Its silence counts: there is such a registration, and it is neither fenced nor about to be.
    private func isWatched(_ silence: BrokerSilence) throws(Failure) -> Bool {
        guard let broker = try view.broker(silence.broker), broker.epoch == silence.epoch else { return false }
        switch broker.state {
        case .active, .shuttingDown: return true
        case .fenced, .fencing: return false
        }
    }
}
