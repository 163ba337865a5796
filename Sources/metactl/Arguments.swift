import ArgumentParser
import MetadataClient
import MetadataModel

/// `host:port,host:port,…`; an IPv6 address stands in brackets.
struct EndpointList: ExpressibleByArgument, Hashable, Sendable, CustomStringConvertible {
    var items: [MetadataClient.Endpoint]

    /// The cluster that `cluster/up` starts.
    static let local = EndpointList(
        items: [7401, 7402, 7403].map { MetadataClient.Endpoint(host: "127.0.0.1", port: $0) })

    init(items: [MetadataClient.Endpoint]) {
        self.items = items
    }

    /// Nil unless every item is a host with a port; an empty item is a mistake, not nothing.
    init?(argument: String) {
        var items: [MetadataClient.Endpoint] = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let item = MetadataClient.Endpoint(parsing: String(part)) else { return nil }
            items.append(item)
        }
        self.items = items
    }

    var description: String { items.map(\.description).joined(separator: ",") }
    var defaultValueDescription: String { description }
}

/// `500ms`, `10s`, `2m`, `1.5s`; a number alone is seconds.
struct DurationArgument: ExpressibleByArgument, Hashable, Sendable {
    var duration: Duration

    init(_ duration: Duration) {
        self.duration = duration
    }

    init?(argument: String) {
        let units: [(suffix: String, milliseconds: Double)] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("", 1_000)]
        guard let unit = units.first(where: { argument.hasSuffix($0.suffix) }),
            let number = Double(argument.dropLast(unit.suffix.count)), number.isFinite, number > 0,
            number * unit.milliseconds <= DurationArgument.millisecondsMax
        else { return nil }
        duration = .milliseconds(number * unit.milliseconds)
    }

    var defaultValueDescription: String {
        let milliseconds = duration.inMilliseconds
        return milliseconds.truncatingRemainder(dividingBy: 1_000) == 0
            ? "\(Int(milliseconds / 1_000))s" : "\(Int(milliseconds))ms"
    }

    /// A day: anything longer is a slip of the fingers.
    private static let millisecondsMax: Double = 86_400_000
}

extension Duration {
    var inMilliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1_000 + Double(attoseconds) / 1e15
    }

    var inSeconds: Double { inMilliseconds / 1_000 }
}

/// `key=value`; the value may be empty and may hold further equals signs.
struct ConfigAssignment: ExpressibleByArgument, Hashable, Sendable {
    var name: String
    var value: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        name = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }

    var change: ConfigChange { ConfigChange(name: name, value: value) }
}

/// Replicas of each partition: `1,2,3:2,3,1` places two partitions on three brokers.
struct AssignmentArgument: ExpressibleByArgument, Hashable, Sendable {
    var replicas: [[BrokerID]]

    init?(argument: String) {
        var replicas: [[BrokerID]] = []
        for partition in argument.split(separator: ":", omittingEmptySubsequences: false) {
            var brokers: [BrokerID] = []
            for broker in partition.split(separator: ",", omittingEmptySubsequences: false) {
                guard let id = Int32(broker), id >= 0 else { return nil }
                brokers.append(BrokerID(id))
            }
            replicas.append(brokers)
        }
        self.replicas = replicas
    }
}

extension BrokerID: ExpressibleByArgument {
    /// 0 or more.
    public init?(argument: String) {
        guard let id = Int32(argument), id >= 0 else { return nil }
        self.init(id)
    }
}

extension Version: ExpressibleByArgument {}

extension PartitionIndex: ExpressibleByArgument {
    /// 0 or more.
    public init?(argument: String) {
        guard let index = Int32(argument), index >= 0 else { return nil }
        self.init(index)
    }
}

extension BrokerEpoch: ExpressibleByArgument {}

/// A topic on the command line: its name, or `id:` and its 32 hexadecimal digits.
struct TopicArgument: ExpressibleByArgument, Hashable, Sendable {
    var reference: TopicReference

    init?(argument: String) {
        guard argument.hasPrefix("id:") else {
            guard !argument.isEmpty else { return nil }
            reference = .name(argument)
            return
        }
        guard let id = Names.parseTopicID(String(argument.dropFirst(3))) else { return nil }
        reference = .id(id)
    }
}
