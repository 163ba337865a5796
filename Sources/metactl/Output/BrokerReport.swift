import MetadataModel

/// A broker as JSON.
struct BrokerReport: Encodable, Equatable {
    struct EndpointReport: Encodable, Equatable {
        var host: String
        var name: String
        var port: UInt16
    }

    var id: Int32
    var epoch: UInt64
    var incarnation: String
    var endpoints: [EndpointReport]
    /// Empty when the broker has none.
    var rack: String
    /// `fenced`, `active`, `fencing` or `draining`.
    var state: String
    var version: UInt64

    init(_ broker: Broker) {
        id = broker.id.rawValue
        epoch = broker.epoch.rawValue
        incarnation = Names.incarnation(broker.incarnation)
        endpoints = broker.endpoints.map { EndpointReport(host: $0.host, name: $0.name, port: $0.port) }
        rack = broker.rack
        state = broker.state.rawValue
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
        var table = Table(["BROKER", "STATE", "EPOCH", "RACK", "ENDPOINTS", "VERSION"])
        for broker in brokers {
            table.add([
                "\(broker.id)", broker.state, "\(broker.epoch)", broker.rack, broker.endpointText, "\(broker.version)",
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
            "BROKER \(broker.id)", "STATE \(broker.state)", "EPOCH \(broker.epoch)",
            "RACK \(broker.rack.isEmpty ? "-" : broker.rack.printable)", "VERSION \(broker.version)",
        ]
        return facts.joined(separator: "   ")
            + "\nINCARNATION \(broker.incarnation)\nENDPOINTS \(broker.endpointText.printable)"
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
