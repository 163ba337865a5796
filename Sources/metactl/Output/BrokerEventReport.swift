import Foundation
import MetadataClient
import MetadataModel

/// One line of `demo-broker`. Keys that do not belong to the event are left out.
struct BrokerEventReport: Report {
    /// RFC 3339, UTC, milliseconds.
    var time: String
    var broker: Int32
    /// `registered`, `reregistered`, `unfenced`, `fenced`, `shutting_down`, `failed`, `change`, `trouble` or `stopping`.
    var event: String
    var epoch: UInt64?
    /// Why the broker was fenced, what failed, which signal came.
    var reason: String?
    /// What the broker sees of the metadata.
    var change: ChangeReport?

    init(broker: BrokerID, event: String, reason: String? = nil, time: Date = Date()) {
        self.time = time.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
        self.broker = broker.rawValue
        self.event = event
        self.reason = reason
    }

    init(_ event: BrokerSessionEvent, broker: BrokerID, time: Date = Date()) {
        switch event {
        case .registered(let epoch):
            self.init(broker: broker, event: "registered", time: time)
            self.epoch = epoch.rawValue
        case .reregistered(let epoch):
            self.init(broker: broker, event: "reregistered", time: time)
            self.epoch = epoch.rawValue
        case .unfenced:
            self.init(broker: broker, event: "unfenced", time: time)
        case .fenced(let reason):
            self.init(broker: broker, event: "fenced", reason: reason.rawValue, time: time)
        case .shuttingDown:
            self.init(broker: broker, event: "shutting_down", time: time)
        case .failed(let error):
            self.init(broker: broker, event: "failed", reason: error.detail, time: time)
        }
    }

    init(_ change: ObservedChange, version: Version, broker: BrokerID, time: Date = Date()) {
        self.init(broker: broker, event: "change", time: time)
        self.change = ChangeReport(change, version: version)
    }

    var table: String {
        var facts = ["\(time) broker \(broker): \(event)"]
        if let epoch { facts.append("epoch=\(epoch)") }
        if let reason { facts.append("(\(reason))") }
        if let change { facts.append(change.table) }
        return facts.joined(separator: " ").printable
    }
}
