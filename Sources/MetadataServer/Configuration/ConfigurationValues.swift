import Logging
import MetadataModel
import RaftCore
import Telemetry

/// How the text of one setting becomes a value. Text comes from people: it is refused with what would be right, never
/// asserted and never rounded into shape.
struct ConfigurationValue<Value: Sendable>: Sendable {
    /// Why a text is not a value.
    struct Refusal: Error {
        var reason: String
    }

    /// In a few words, for the reference page.
    let allowed: String
    let parse: @Sendable (String) throws(Refusal) -> Value

    init(allowed: String, parse: @escaping @Sendable (String) throws(Refusal) -> Value) {
        self.allowed = allowed
        self.parse = parse
    }

    /// Adds a check.
    func checked(
        allowed: String, _ reason: String, _ isGood: @escaping @Sendable (Value) -> Bool
    ) -> ConfigurationValue {
        ConfigurationValue(allowed: allowed) { text throws(Refusal) in
            let value = try parse(text)
            guard isGood(value) else { throw Refusal(reason: reason) }
            return value
        }
    }
}

extension ConfigurationValue where Value == String {
    static var text: Self {
        Self(allowed: "any text") { text throws(Refusal) in
            guard !text.isEmpty else { throw Refusal(reason: "must not be empty") }
            return text
        }
    }

    /// The path of an HTTP resource.
    static var path: Self {
        text.checked(
            allowed: "a path from /", "must begin with / and hold only letters, digits and the characters / - _ ."
        ) { path in
            path.hasPrefix("/") && path.utf8.allSatisfy { isWordCharacter($0) || $0 == UInt8(ascii: "/") }
        }
    }

    static let clusterIDBytesMax = 64

    static var clusterID: Self {
        text.checked(
            allowed: "1 to \(clusterIDBytesMax) characters",
            "must be 1 to \(clusterIDBytesMax) letters, digits and the characters - _ ."
        ) {
            $0.utf8.count <= clusterIDBytesMax && $0.utf8.allSatisfy(isWordCharacter)
        }
    }

    private static func isWordCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}

extension ConfigurationValue where Value == Bool {
    static var truth: Self {
        Self(allowed: "true or false") { text throws(Refusal) in
            switch text.lowercased() {
            case "true", "yes", "on": true
            case "false", "no", "off": false
            default: throw Refusal(reason: "must be true or false")
            }
        }
    }
}

extension ConfigurationValue where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> Self {
        Self(allowed: "\(range.lowerBound) to \(range.upperBound)") { text throws(Refusal) in
            guard let number = Int(text), range.contains(number) else {
                throw Refusal(reason: "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
    }

    static func bytes(_ range: ClosedRange<Int>) -> Self {
        Self(allowed: "\(ByteCount.text(range.lowerBound)) to \(ByteCount.text(range.upperBound))") {
            text throws(Refusal) in
            guard let count = ByteCount.parse(text) else {
                throw Refusal(reason: "must be a number of bytes such as 65536, 64KiB, 16MiB or 1GiB")
            }
            guard range.contains(count) else {
                let low = ByteCount.text(range.lowerBound)
                let high = ByteCount.text(range.upperBound)
                throw Refusal(reason: "must be from \(low) to \(high)")
            }
            return count
        }
    }
}

extension ConfigurationValue where Value == Duration {
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        Self(allowed: "\(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))") {
            text throws(Refusal) in
            guard let duration = DurationText.parse(text) else {
                throw Refusal(reason: "must be a whole number with a unit (us, ms, s, m, h), such as 250ms or 5s")
            }
            guard range.contains(duration) else {
                let low = DurationText.text(range.lowerBound)
                let high = DurationText.text(range.upperBound)
                throw Refusal(reason: "must be from \(low) to \(high)")
            }
            return duration
        }
    }
}

extension ConfigurationValue where Value == NodeID {
    static var nodeID: Self {
        Self(allowed: "1 or more") { text throws(Refusal) in
            guard let number = UInt64(text), number > 0 else {
                throw Refusal(reason: "must be a whole number above 0, different on every node")
            }
            return NodeID(number)
        }
    }
}

extension ConfigurationValue where Value == NetworkAddress {
    /// To listen on; port 0 lets the system choose.
    static var listenAddress: Self {
        Self(allowed: "host:port") { text throws(Refusal) in
            guard let address = NetworkAddress(parsing: text) else {
                throw Refusal(reason: "must be host:port, such as 127.0.0.1:7401 or [::1]:7401")
            }
            return address
        }
    }

    /// For others to dial; `same` is where this node listens.
    static func advertisedAddress(of listening: NetworkAddress) -> Self {
        Self(allowed: "host:port or same") { text throws(Refusal) in
            if text == "same" { return listening }
            guard let address = NetworkAddress(parsing: text), address.port > 0, !address.isWildcard else {
                throw Refusal(reason: "must be host:port that others can dial, such as meta1.example:7401, or same")
            }
            return address
        }
    }
}

extension ConfigurationValue where Value == InitialMember {
    static var member: Self {
        Self(allowed: "id=host:port,host:port") { text throws(Refusal) in
            let reason = "must be id=peer-host:port,client-host:port, such as 1=10.0.0.1:7501,10.0.0.1:7401"
            let sides = text.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let id = UInt64(sides[0]), id > 0 else { throw Refusal(reason: reason) }
            let addresses = sides[1].split(separator: ",", omittingEmptySubsequences: false)
                .map { NetworkAddress(parsing: String($0)) }
            guard addresses.count == 2, let peer = addresses[0], let client = addresses[1], peer.port > 0,
                client.port > 0
            else { throw Refusal(reason: reason) }
            return InitialMember(id: NodeID(id), peerAddress: peer, clientAddress: client)
        }
    }
}

extension ConfigurationValue where Value == Logger.Level {
    static var logLevel: Self {
        Self(allowed: "trace to critical") { text throws(Refusal) in
            guard let level = Logger.Level(rawValue: text.lowercased()) else {
                let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw Refusal(reason: "must be one of \(names)")
            }
            return level
        }
    }
}

extension ConfigurationValue where Value == BalanceStrategy {
    static var strategy: Self {
        Self(allowed: BalanceStrategy.allCases.map(\.rawValue).joined(separator: ", ")) { text throws(Refusal) in
            guard let strategy = BalanceStrategy(rawValue: text) else {
                let names = BalanceStrategy.allCases.map(\.rawValue).joined(separator: ", ")
                throw Refusal(reason: "must be one of \(names)")
            }
            return strategy
        }
    }
}

extension ConfigurationValue where Value == LogFormat {
    static var logFormat: Self {
        Self(allowed: "json or console") { text throws(Refusal) in
            guard let format = LogFormat(rawValue: text) else { throw Refusal(reason: "must be json or console") }
            return format
        }
    }
}

extension ConfigurationValue where Value == LogOutput {
    static var logOutput: Self {
        Self(allowed: "stdout, stderr, file:PATH") { text throws(Refusal) in
            guard let output = LogOutput(text) else { throw Refusal(reason: "must be stdout, stderr or file:PATH") }
            return output
        }
    }
}

extension ConfigurationValue where Value == HTTPEndpoint? {
    static var collector: Self {
        Self(allowed: "none or a URL") { text throws(Refusal) in
            if text == "none" { return nil }
            guard let endpoint = HTTPEndpoint(collector: text) else {
                throw Refusal(
                    reason:
                        "must be none, or the collector's http://host:port/path without a user; for TLS run a collector "
                        + "beside the node")
            }
            return endpoint
        }
    }
}

extension ConfigurationValue where Value == Double {
    static var fraction: Self {
        Self(allowed: "0 to 1") { text throws(Refusal) in
            guard let number = Double(text), (0...1).contains(number) else {
                throw Refusal(reason: "must be a number from 0 to 1")
            }
            return number
        }
    }
}

extension NetworkAddress {
    /// The longest name that DNS has.
    static let hostBytesMax = 253

    /// `host:port`; an IPv6 address stands in brackets.
    init?(parsing text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        var host = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, host.utf8.count <= Self.hostBytesMax,
            !host.contains(where: { $0.isWhitespace || "[]/=,;".contains($0) }), let first = digits.utf8.first,
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first), let port = UInt16(digits)
        else { return nil }
        self.init(host: host, port: Int(port))
    }
}

/// Durations as people write them.
enum DurationText {
    private static let units: [(name: String, unit: Duration)] = [
        ("us", .microseconds(1)), ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)),
        ("h", .seconds(3_600)),
    ]
    /// Far above any setting, and far below what overflows.
    private static let countMax = 1_000_000_000

    static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        let name = text[digits.endIndex...]
        guard let count = Int(digits), count <= countMax, let unit = units.first(where: { $0.name == name }) else {
            return nil
        }
        return unit.unit * count
    }

    static func text(_ duration: Duration) -> String {
        for (name, unit) in units.reversed() where duration >= unit {
            let count = duration / unit
            if count.rounded() == count { return "\(Int(count))\(name)" }
        }
        return duration == .zero ? "0s" : "\(duration)"
    }
}

/// Sizes as people write them, in powers of 1024.
enum ByteCount {
    private static let units: [(name: String, bytes: Int)] = [
        ("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
    ]

    static func parse(_ text: String) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        let name = text[digits.endIndex...]
        guard let count = Int(digits), let unit = units.first(where: { $0.name == name }) else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: unit.bytes)
        return overflow ? nil : bytes
    }

    static func text(_ bytes: Int) -> String {
        guard bytes > 0, let unit = units.last(where: { bytes.isMultiple(of: $0.bytes) }) else { return "\(bytes)" }
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}
