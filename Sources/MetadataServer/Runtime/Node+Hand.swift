import Logging
import MetadataModel
import MetadataSchema
import Replica
import Resilience
import Wire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What operators do by hand. Each leaves a line that says who did what, from where, and what came of it.
extension Node {
    /// - Parameter who: what the client calls itself; nobody has checked that.
    func audit(_ what: String, by who: String, from remote: String, result: OperationStatus) {
        // Who is sent elsewhere is audited there.
        guard result != .redirected else { return }
        loggers.audit.notice(
            "audit", metadata: ["who": "\(who)", "from": "\(remote)", "what": "\(what)", "result": "\(result.name)"])
    }

    func carryOut(_ control: BreakerControl, _ token: RequestToken, on connection: ClientConnection) {
        connection.audit(token.request, as: "breakers \(control.action.rawValue) \(control.name)")
        guard let breaker = breakers.existing(control.name) else {
            let known = breakers.all.map(\.name).joined(separator: ", ")
            return respond(to: token, invalid("no circuit breaker is called \(control.name); there are \(known)"))
        }
        switch control.action {
        case .reset: breaker.reset()
        case .open: breaker.open()
        }
        respond(to: token, .breakers(breakers.readings))
    }
}

/// Which writes are told of in the audit.
enum Audit {
    /// Nil for those that are not.
    static func subject(of command: [UInt8]) -> String? {
        guard let number = Command.kindNumber(ofEncoded: command), audited.contains(number),
            // Of settings, which are many, only a change that may be the pause of rebalances is looked into.
            number != alterConfigs || mentionsPause(command), let kind = Command.kindNames[number]
        else { return nil }
        let whole: Command
        do {
            whole = try Command(schemaBytes: command)
        } catch {
            return kind
        }
        switch whole {
        case .alterConfigs(let change):
            // All others are the users' own.
            guard change.changes.contains(where: { $0.name == Rebalance.pauseConfigName }) else { return nil }
            return "\(kind) \(change.resource): " + change.changes.map(\.name).joined(separator: ", ")
        case .startRebalance(let start): return "\(kind) \(start.strategy.rawValue)"
        case .setFeatureLevel(let level): return "\(kind) \(level)"
        default: return kind
        }
    }

    /// Whether the name of the pause stands in the bytes, where an encoded command has its texts as they are.
    private static func mentionsPause(_ command: [UInt8]) -> Bool {
        command.withUnsafeBytes { bytes in
            pauseName.withUnsafeBytes { name in
                guard let name = name.baseAddress, let start = bytes.baseAddress else { return false }
                let end = start + bytes.count
                var rest = start + min(pauseDot, bytes.count)
                // Done for every write of a setting: the C library passes over most bytes, and dots are rare in values.
                while let dot = memchr(rest, Int32(pauseName[pauseDot]), end - rest) {
                    rest = UnsafeRawPointer(dot) + 1
                    let place = rest - pauseDot - 1
                    if end - place >= pauseName.count, memcmp(place, name, pauseName.count) == 0 { return true }
                }
                return false
            }
        }
    }

    private static let pauseName = Array(Rebalance.pauseConfigName.utf8)
    private static let pauseDot = pauseName.firstIndex(of: UInt8(ascii: ".")) ?? 0

    /// What an operator does to the cluster as a whole, by the numbers of its commands: a few, found faster than by a hash.
    private static let audited = Command.kindNames.filter {
        ["alter_configs", "start_rebalance", "end_rebalance", "set_feature_level"].contains($0.value)
    }.keys.sorted()
    private static let alterConfigs = Command.kindNames.first { $0.value == "alter_configs" }?.key
}

extension CircuitBreakers {
    /// Sorted by name.
    var readings: [BreakerReading] {
        all.map { breaker in
            let stats = breaker.stats
            let state: BreakerReading.State =
                switch stats.state {
                case .closed: .closed
                case .open: .open
                case .halfOpen: .halfOpen
                }
            let retryAfter = stats.retryAfter.map(CircuitBreaker.Rejection.init(retryAfter:))
            return BreakerReading(
                name: breaker.name, state: state, failuresInARow: UInt64(stats.failuresInARow),
                retryAfterMilliseconds: retryAfter?.retryAfterMilliseconds ?? 0, successes: stats.counts.successes,
                failures: stats.counts.failures, neutrals: stats.counts.neutrals, rejections: stats.counts.rejections,
                openings: CircuitBreaker.Phase.allCases.reduce(0) { $0 + stats.counts.changes(from: $1, to: .open) })
        }
    }
}
