import MetadataModel
import MetadataSchema
import RaftCore
import Replica

// How things are written in the stories of replicas.

extension Status {
    var text: String { "\(role.rawValue) in term \(term)\(leader.map { ", leader \($0)" } ?? "")" }
}

extension Configuration {
    var text: String {
        func list(_ name: String, _ ids: [NodeID]) -> String {
            ids.isEmpty ? "" : "\(name)(\(ids.map(\.description).joined(separator: ",")))"
        }
        let unnamed = members.filter { $0.disk == .unknown }.map(\.id)
        return list("voters", voters) + list("outgoing", outgoing) + list("learners", learners)
            + list("unknown disks", unnamed)
    }
}

extension Entry {
    var text: String {
        switch kind {
        case .noop: return "\(position)"
        case .command:
            let command = LogCommand(decoding: payload)
            return "\(position)=\(command.command?.text ?? "not understood")"
        case .configuration:
            do {
                return "\(position)=\(try Configuration(decoding: payload).text)"
            } catch {
                return "\(position)=\(error)"
            }
        }
    }
}

extension Command {
    /// Only what stories write and replicas propose has a text of its own.
    var text: String {
        if case .alterConfigs(let alter) = self {
            return alter.changes.map { "\($0.name.dropFirst("user.".count)):\($0.value ?? "none")" }
                .joined(separator: ",")
        }
        if case .openSession(let timeout) = self { return "open-session(\(timeout) ms)" }
        if case .registerBroker(let register) = self { return "register(\(register.id))" }
        if case .fenceBroker(let id, let epoch) = self { return "fence(\(id),epoch \(epoch))" }
        if case .unfenceBroker(let id, let epoch) = self { return "unfence(\(id),epoch \(epoch))" }
        if case .noteSilence(let notes) = self {
            let texts = notes.map { "\($0.broker),epoch \($0.epoch),\($0.milliseconds) ms" }
            return "silent(\(texts.joined(separator: "; ")))"
        }
        return self == .expireSessions ? "expire-sessions" : "\(self)"
    }
}

extension Persist {
    var text: String {
        var parts = ["#\(sequence)"]
        if let reset { parts.append("reset to \(reset)") }
        if let truncateFrom { parts.append("truncate from \(truncateFrom)") }
        if !entries.isEmpty { parts.append("[\(entries.map(\.text).joined(separator: " "))]") }
        if let hardState { parts.append("term \(hardState.term) vote \(hardState.vote.map(\.description) ?? "none")") }
        return parts.joined(separator: " ")
    }
}

extension Message.Kind {
    /// The name alone: the stories of RaftCore tell what is said.
    var text: String { String("\(self)".prefix { $0 != "(" }) }
}

extension WriteReply {
    var text: String {
        switch self {
        case .outcome(.done(.changed(let version))): "done at version \(version)"
        case .outcome(.done(.session(let id))): "done, session \(id)"
        case .outcome(.done(.registered(let epoch, let version))): "done at version \(version), epoch \(epoch)"
        case .outcome(.done(let result)): "done, \(result)"
        case .outcome(.refused(let refusal)): "refused, \(refusal.reason.rawValue): \(refusal.detail)"
        case .notLeader(let leader): "not appended, \(name(leader)) leads"
        case .overloaded: "not appended, overloaded"
        case .expired: "not appended, too late"
        case .diskFull: "not appended, the disk is nearly full"
        case .leadershipLost(let leader): "outcome unknown, leadership lost, \(name(leader)) leads"
        }
    }

    private func name(_ leader: NodeID?) -> String { leader.map(\.description) ?? "nobody" }
}

extension ReadRefusal {
    var text: String {
        switch self {
        case .noLeader: "no leader is known"
        case .unconfirmed: "not confirmed"
        case .repairing: "the state is being repaired"
        case .overloaded: "overloaded"
        case .tooStale(.max): "no leader was ever heard"
        case .tooStale(let milliseconds): "no leader was heard for \(milliseconds) ms"
        }
    }
}

extension HeartbeatReply {
    var text: String {
        switch self {
        case .accepted:
            // By name, so that a field which no story is about may be added.
            let fields = Mirror(reflecting: Mirror(reflecting: self).children.first?.value ?? ()).children
            func field(_ name: String) -> String { fields.first { $0.label == name }.map { "\($0.value)" } ?? "?" }
            return "accepted as \(field("state")) for \(field("leaseMilliseconds")) ms at version \(field("version"))"
        case .unknownBroker: return "register again"
        case .notLeader(let leader): return "not here, \(leader.map(\.description) ?? "nobody") leads"
        }
    }
}

extension StoryMember {
    var text: String {
        guard let replica else { return "\(id): down" }
        let core = replica.core
        return
            "\(id): \(replica.status.text) | log \(core.base)..\(core.lastIndex)@\(core.term(at: core.lastIndex) ?? .zero)"
            + " synced \(core.syncedIndex) commit \(core.commitIndex) applied \(replica.appliedIndex)"
            + " version \(replica.version) | open writes \(replica.openWrites) reads \(replica.openReads) | "
            + core.configuration.text
    }
}
