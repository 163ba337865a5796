@testable import RaftCore

// How things are written in scenarios and traces.

extension Entry {
    var text: String {
        switch kind {
        case .noop: "\(position)"
        case .command: "\(position)=\(String(decoding: payload, as: UTF8.self))"
        case .configuration: "\(position)=\(RaftNode.decodedConfiguration(self)?.text ?? "?")"
        }
    }
}

extension Configuration {
    var text: String {
        func list(_ name: String, _ ids: [NodeID]) -> String {
            ids.isEmpty ? "" : "\(name)(\(ids.map(\.description).joined(separator: ",")))"
        }
        return list("voters", voters) + list("outgoing", outgoing) + list("learners", learners)
    }
}

extension Status {
    var text: String { "\(role.rawValue) in term \(term)\(leader.map { ", leader \($0)" } ?? "")" }
}

extension Persist {
    var text: String {
        var parts = ["writes #\(sequence)"]
        if let reset { parts.append("reset \(reset)") }
        if let truncateFrom { parts.append("truncate from \(truncateFrom)") }
        if !entries.isEmpty { parts.append("[\(entries.map(\.text).joined(separator: " "))]") }
        if let hardState { parts.append("term \(hardState.term) vote \(hardState.vote.map(\.description) ?? "none")") }
        return parts.joined(separator: " ")
    }
}

extension Message {
    var text: String { "\(from)->\(to) t\(term) \(kind.text)" }
}

extension Message.Kind {
    var text: String {
        switch self {
        case .preVoteRequest(let last): "pre-vote? last \(last)"
        case .preVoteResponse(let granted): granted ? "pre-vote yes" : "pre-vote no"
        case .voteRequest(let last, let transfer): "vote? last \(last)\(transfer ? " transfer" : "")"
        case .voteResponse(let granted): granted ? "vote yes" : "vote no"
        case .append(let previous, let entries, let commit):
            "append after \(previous) [\(entries.map(\.text).joined(separator: " "))] commit \(commit)"
        case .appendAccepted(let match): "accepted \(match)"
        case .appendRejected(let rejected, let hint): "rejected \(rejected), maybe \(hint)"
        case .heartbeat(let commit, let round): "heartbeat \(round) commit \(commit)"
        case .heartbeatResponse(let round): "heartbeat answer \(round)"
        case .readIndexRequest: "read index?"
        case .readIndexResponse(_, let index): "read index \(index.map(\.description) ?? "unknown")"
        case .timeoutNow: "timeout now"
        case .recoveryRequest(_, let held): "lost log, held \(held)"
        case .recoveryResponse(_, let target): "recover up to \(target)"
        case .installSnapshot(let position, let configuration): "snapshot \(position) \(configuration.text)"
        }
    }
}

extension RaftNode {
    var text: String {
        "\(status.text) | log \(base)..\(log.last) synced \(syncedIndex) commit \(commitIndex) applied \(appliedIndex) | "
            + "vote \(hardState.vote.map(\.description) ?? "none") | \(configuration.text)"
            + (isRecovering ? " | recovering" : "")
    }
}
