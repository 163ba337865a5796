internal import Foundation
internal import MetadataSchema
internal import RaftCore

extension LogPosition {
    init(wire: WireLogPosition) {
        self.init(index: LogIndex(wire.index), term: Term(wire.term))
    }

    var wire: WireLogPosition {
        var wire = WireLogPosition()
        wire.index = index.rawValue
        wire.term = term.rawValue
        return wire
    }
}

extension Message {
    init(wire: WireRaftMessage, entriesLeft: inout Int) throws(WireError) {
        self.init(
            from: NodeID(wire.from), to: NodeID(wire.to), term: Term(wire.term),
            kind: try Kind(wire: wire.kind, entriesLeft: &entriesLeft))
    }

    var wire: WireRaftMessage {
        var wire = WireRaftMessage()
        wire.from = from.rawValue
        wire.to = to.rawValue
        wire.term = term.rawValue
        wire.kind = kind.wire
        return wire
    }
}

extension Message.Kind {
    fileprivate init(wire: WireRaftMessage.OneOf_Kind?, entriesLeft: inout Int) throws(WireError) {
        switch wire {
        case .preVoteRequest(let last): self = .preVoteRequest(last: LogPosition(wire: last))
        case .preVoteResponse(let granted): self = .preVoteResponse(granted: granted)
        case .voteRequest(let request):
            guard request.hasLast else { throw .malformed("vote request without position") }
            self = .voteRequest(last: LogPosition(wire: request.last), transfer: request.transfer)
        case .voteResponse(let granted): self = .voteResponse(granted: granted)
        case .append(let append): self = try .append(wire: append, entriesLeft: &entriesLeft)
        case .appendAccepted(let match): self = .appendAccepted(match: LogIndex(match))
        case .appendRejected(let rejected):
            guard rejected.hasHint else { throw .malformed("rejected append without hint") }
            self = .appendRejected(rejected: LogIndex(rejected.rejected), hint: LogPosition(wire: rejected.hint))
        case .heartbeat(let heartbeat): self = .heartbeat(commit: LogIndex(heartbeat.commit), round: heartbeat.round)
        case .heartbeatResponse(let round): self = .heartbeatResponse(round: round)
        case .readIndexRequest(let id): self = .readIndexRequest(id: id)
        case .readIndexResponse(let response):
            self = .readIndexResponse(id: response.id, index: response.hasIndex ? LogIndex(response.index) : nil)
        case .timeoutNow: self = .timeoutNow
        case .recoveryRequest(let request):
            self = .recoveryRequest(id: request.id, held: LogIndex(request.held))
        case .recoveryResponse(let response):
            self = .recoveryResponse(id: response.id, target: LogIndex(response.target))
        case .installSnapshot(let install):
            guard install.hasPosition, install.hasConfiguration else {
                throw .malformed("snapshot without position or configuration")
            }
            self = .installSnapshot(
                position: LogPosition(wire: install.position),
                configuration: try Configuration(wire: install.configuration))
        case nil: throw .unknownValue("raft message")
        }
    }

    fileprivate var wire: WireRaftMessage.OneOf_Kind {
        switch self {
        case .preVoteRequest(let last): return .preVoteRequest(last.wire)
        case .preVoteResponse(let granted): return .preVoteResponse(granted)
        case .voteRequest(let last, let transfer):
            var wire = WireRaftMessage.VoteRequest()
            wire.last = last.wire
            wire.transfer = transfer
            return .voteRequest(wire)
        case .voteResponse(let granted): return .voteResponse(granted)
        case .append(let previous, let entries, let commit):
            return .append(WireRaftMessage.Append(previous: previous, entries: entries, commit: commit))
        case .appendAccepted(let match): return .appendAccepted(match.rawValue)
        case .appendRejected(let rejected, let hint):
            var wire = WireRaftMessage.AppendRejected()
            wire.rejected = rejected.rawValue
            wire.hint = hint.wire
            return .appendRejected(wire)
        case .heartbeat(let commit, let round):
            var wire = WireRaftMessage.Heartbeat()
            wire.commit = commit.rawValue
            wire.round = round
            return .heartbeat(wire)
        case .heartbeatResponse(let round): return .heartbeatResponse(round)
        case .readIndexRequest(let id): return .readIndexRequest(id)
        case .readIndexResponse(let id, let index):
            var wire = WireRaftMessage.ReadIndexResponse()
            wire.id = id
            if let index { wire.index = index.rawValue }
            return .readIndexResponse(wire)
        case .timeoutNow: return .timeoutNow(ProtoNothing())
        case .recoveryRequest(let id, let held):
            var wire = WireRaftMessage.RecoveryRequest()
            wire.id = id
            wire.held = held.rawValue
            return .recoveryRequest(wire)
        case .recoveryResponse(let id, let target):
            var wire = WireRaftMessage.RecoveryResponse()
            wire.id = id
            wire.target = target.rawValue
            return .recoveryResponse(wire)
        case .installSnapshot(let position, let configuration):
            var wire = WireRaftMessage.InstallSnapshot()
            wire.position = position.wire
            wire.configuration = configuration.wire
            return .installSnapshot(wire)
        }
    }

    /// Cuts the columns of an append into entries.
    private static func append(
        wire: WireRaftMessage.Append, entriesLeft: inout Int
    ) throws(WireError) -> Message.Kind {
        let count = wire.terms.count
        guard count <= entriesLeft else {
            throw .malformed("more than \(WireLimits.entriesPerFrameMax) entries in a frame")
        }
        entriesLeft -= count
        guard wire.kinds.count == count, wire.lengths.count == count else {
            throw .malformed("append of \(count) terms, \(wire.kinds.count) kinds, \(wire.lengths.count) lengths")
        }
        // Sums of 32-bit lengths cannot overflow, and indexes that would are refused here, once.
        let payloadBytes = wire.lengths.reduce(0) { $0 + Int($1) }
        guard payloadBytes == wire.payloads.count else {
            throw .malformed("append lengths sum up to \(payloadBytes) of \(wire.payloads.count) bytes")
        }
        guard UInt64(count) < UInt64.max - wire.previousIndex else {
            throw .malformed("append of \(count) entries after index \(wire.previousIndex)")
        }
        let previous = LogPosition(index: LogIndex(wire.previousIndex), term: Term(wire.previousTerm))
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        var offset = 0
        let unknownKind: UInt8? = wire.payloads.withUnsafeBytes { payloads in
            for (position, rawKind) in wire.kinds.enumerated() {
                guard let kind = Entry.Kind(rawValue: rawKind) else { return rawKind }
                let end = offset + Int(wire.lengths[position])
                entries.append(
                    Entry(
                        term: Term(wire.terms[position]), index: previous.index.advanced(by: position + 1), kind: kind,
                        payload: [UInt8](payloads[offset..<end])))
                offset = end
            }
            return nil
        }
        if let unknownKind { throw .unknownValue("entry kind \(unknownKind)") }
        return .append(previous: previous, entries: entries, commit: LogIndex(wire.commit))
    }
}

extension WireRaftMessage.Append {
    fileprivate init(previous: LogPosition, entries: [Entry], commit: LogIndex) {
        self.init()
        previousIndex = previous.index.rawValue
        previousTerm = previous.term.rawValue
        self.commit = commit.rawValue
        terms.reserveCapacity(entries.count)
        kinds.reserveCapacity(entries.count)
        lengths.reserveCapacity(entries.count)
        payloads.reserveCapacity(entries.reduce(0) { $0 + $1.payload.count })
        var index = previous.index
        for entry in entries {
            index = index.next
            precondition(entry.index == index, "entry \(entry.index) where the append continues with \(index)")
            terms.append(entry.term.rawValue)
            kinds.append(entry.kind.rawValue)
            lengths.append(UInt32(entry.payload.count))
            payloads.append(contentsOf: entry.payload)
        }
    }
}

extension Configuration {
    /// Checks what the type promises: ascending ids, no id twice, every voter and learner among the members.
    init(wire: WireConfiguration) throws(WireError) {
        let ids = wire.members.map(\.id)
        for (name, list) in [
            ("members", ids), ("voters", wire.voters), ("outgoing", wire.outgoing), ("learners", wire.learners),
        ] {
            for (smaller, larger) in zip(list, list.dropFirst()) where smaller >= larger {
                throw .malformed("configuration \(name) are not in ascending order")
            }
        }
        let known = Set(ids)
        guard known.isSuperset(of: wire.voters), known.isSuperset(of: wire.outgoing),
            known.isSuperset(of: wire.learners)
        else { throw .malformed("configuration names an id that is no member") }
        guard Set(wire.voters).isDisjoint(with: wire.learners) else {
            throw .malformed("configuration has a voter that is a learner")
        }
        for (smaller, larger) in zip(wire.promotions, wire.promotions.dropFirst())
        where smaller.learner >= larger.learner {
            throw .malformed("configuration promotions are not in ascending order")
        }
        for promotion in wire.promotions {
            guard wire.learners.contains(promotion.learner) else {
                throw .malformed("configuration promotes \(promotion.learner), which is no learner")
            }
            guard
                !promotion.hasReplaces || promotion.replaces != promotion.learner && known.contains(promotion.replaces)
            else { throw .malformed("\(promotion.learner) replaces \(promotion.replaces), which is no other member") }
        }
        self.init(
            members: wire.members.map(Member.init(wire:)), voters: wire.voters.map { NodeID($0) },
            outgoing: wire.outgoing.map { NodeID($0) }, learners: wire.learners.map { NodeID($0) },
            promotions: wire.promotions.map {
                Promotion(learner: NodeID($0.learner), replaces: $0.hasReplaces ? NodeID($0.replaces) : nil)
            })
    }

    var wire: WireConfiguration {
        var wire = WireConfiguration()
        wire.members = members.map(\.wire)
        wire.voters = voters.map(\.rawValue)
        wire.outgoing = outgoing.map(\.rawValue)
        wire.learners = learners.map(\.rawValue)
        wire.promotions = promotions.map { promotion in
            var wire = WirePromotion()
            wire.learner = promotion.learner.rawValue
            if let replaced = promotion.replaces { wire.replaces = replaced.rawValue }
            return wire
        }
        return wire
    }
}

extension Member {
    fileprivate init(wire: WireMember) {
        self.init(
            id: NodeID(wire.id), disk: DiskID(high: wire.diskHigh, low: wire.diskLow), peerAddress: wire.peerAddress,
            clientAddress: wire.clientAddress)
    }

    fileprivate var wire: WireMember {
        var wire = WireMember()
        wire.id = id.rawValue
        wire.diskHigh = disk.high
        wire.diskLow = disk.low
        wire.peerAddress = peerAddress
        wire.clientAddress = clientAddress
        return wire
    }
}
