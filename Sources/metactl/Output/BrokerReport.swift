import MetadataModel

/// A broker as JSON.
struct BrokerReport: Encodable, Equatable {
    struct EndpointReport: Encodable, Equatable {
        var host: String
        var name: String
        var port: UInt16
    }

    struct TagReport: Encodable, Equatable {
        var name: String
        var value: String
    }

    var id: Int32
    var epoch: UInt64
    var incarnation: String
    var endpoints: [EndpointReport]
    /// Null when the broker has none.
    @OrNull var rack: String?
    var capacity: UInt32
    var tags: [TagReport]
    /// `fenced`, `active`, `fencing` or `shutting_down`.
    var state: String
    /// Its replicas are to move away.
    var draining: Bool
    var version: UInt64

    init(_ broker: Broker) {
        id = broker.id.rawValue
        epoch = broker.epoch.rawValue
        incarnation = Names.incarnation(broker.incarnation)
        endpoints = broker.endpoints.map { EndpointReport(host: $0.host, name: $0.name, port: $0.port) }
        rack = broker.rack.isEmpty ? nil : broker.rack
        capacity = broker.capacity
        tags = broker.tags.map { TagReport(name: $0.name, value: $0.value) }
        state = broker.state.rawValue
        draining = broker.isDraining
        version = broker.version.rawValue
    }

    fileprivate var endpointText: String {
        endpoints.map { Names.endpoint(Endpoint(name: $0.name, host: $0.host, port: $0.port)) }.joined(separator: ",")
    }
}

/// `brokers list`.
struct BrokerListReport: Report {
    var brokers: [BrokerReport]

    init(_ brokers: [Broker]) {
        self.brokers = brokers.map(BrokerReport.init)
    }

    var table: String {
        var table = Table(["BROKER", "STATE", "DRAINING", "EPOCH", "RACK", "CAPACITY", "ENDPOINTS", "VERSION"])
        for broker in brokers {
            table.add([
                "\(broker.id)", broker.state, broker.draining ? "yes" : "no", "\(broker.epoch)", broker.rack ?? "",
                "\(broker.capacity)", broker.endpointText, "\(broker.version)",
            ])
        }
        return table.text
    }
}

/// `brokers describe`: the broker and its configuration.
struct BrokerDetailReport: Report {
    var broker: BrokerReport
    var configs: [ConfigReport]

    init(_ broker: Broker, configs: [ConfigEntry]) {
        self.broker = BrokerReport(broker)
        self.configs = configs.map(ConfigReport.init)
    }

    var table: String {
        let facts = [
            "BROKER \(broker.id)", "STATE \(broker.state)", "DRAINING \(broker.draining ? "yes" : "no")",
            "EPOCH \(broker.epoch)", "RACK \(broker.rack?.printable ?? "-")",
            "CAPACITY \(broker.capacity)", "VERSION \(broker.version)",
        ]
        let tags = broker.tags.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        return facts.joined(separator: "   ")
            + "\nINCARNATION \(broker.incarnation)\nENDPOINTS \(broker.endpointText.printable)"
            + (tags.isEmpty ? "" : "\nTAGS \(tags.printable)")
            + ConfigReport.section(configs)
    }
}

/// The answer to `brokers register`.
struct RegistrationReport: Report {
    var broker: Int32
    var epoch: UInt64
    var version: UInt64

    var table: String { "registered broker \(broker) with epoch \(epoch) at version \(version)" }
}
