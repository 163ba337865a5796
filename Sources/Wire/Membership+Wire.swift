internal import RaftCore

extension Member {
    init(wire: WireClusterMember) {
        self.init(
            id: NodeID(wire.nodeID), disk: DiskID(high: wire.diskHigh, low: wire.diskLow),
            peerAddress: wire.peerAddress, clientAddress: wire.clientAddress)
    }

    var clusterMember: WireClusterMember {
        var wire = WireClusterMember()
        wire.nodeID = id.rawValue
        wire.diskHigh = disk.high
        wire.diskLow = disk.low
        wire.peerAddress = peerAddress
        wire.clientAddress = clientAddress
        return wire
    }
}

extension MembershipRequest {
    init(wire: WireMembershipChange) throws(WireError) {
        switch wire.change {
        case .add(let add):
            guard add.hasMember else { throw .malformed("an addition without member") }
            self.init(.add(Member(wire: add.member), isPromoted: add.isPromoted), isForced: wire.force)
        case .promote(let id): self.init(.promote(NodeID(id)), isForced: wire.force)
        case .remove(let id): self.init(.remove(NodeID(id)), isForced: wire.force)
        case .replace(let replace):
            guard replace.hasMember else { throw .malformed("a replacement without member") }
            self.init(.replace(NodeID(replace.old), with: Member(wire: replace.member)), isForced: wire.force)
        case nil: throw .unknownValue("membership change")
        }
    }

    var wire: WireMembershipChange {
        var wire = WireMembershipChange()
        wire.force = isForced
        switch change {
        case .add(let member, let isPromoted):
            var add = WireMembershipChange.Add()
            add.member = member.clusterMember
            add.isPromoted = isPromoted
            wire.change = .add(add)
        case .promote(let id): wire.change = .promote(id.rawValue)
        case .remove(let id): wire.change = .remove(id.rawValue)
        case .replace(let old, let member):
            var replace = WireMembershipChange.Replace()
            replace.old = old.rawValue
            replace.member = member.clusterMember
            wire.change = .replace(replace)
        }
        return wire
    }
}

extension MemberList {
    init(wire: WireMembers) throws(WireError) {
        var items: [MemberState] = []
        for member in wire.members { items.append(try MemberState(wire: member)) }
        self.init(
            configurationIndex: LogIndex(wire.configurationIndex), lastIndex: LogIndex(wire.lastIndex),
            isChanging: wire.isChanging, members: items)
    }

    var wire: WireMembers {
        var wire = WireMembers()
        wire.configurationIndex = configurationIndex.rawValue
        wire.lastIndex = lastIndex.rawValue
        wire.isChanging = isChanging
        wire.members = members.map(\.wire)
        return wire
    }
}

extension MemberState {
    fileprivate init(wire: WireMemberState) throws(WireError) {
        guard wire.hasMember else { throw .malformed("the state of a member without the member") }
        let member = Member(wire: wire.member)
        let role: Role
        switch wire.role {
        case .voter: role = .voter
        case .leaving: role = .leaving
        case .learner: role = .learner
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("member role \(wire.role.rawValue)")
        }
        self.init(
            member: member, role: role,
            promotion: wire.isPromoted
                ? Promotion(learner: member.id, replaces: wire.hasReplaces ? NodeID(wire.replaces) : nil) : nil,
            isLeader: wire.isLeader, isHeard: wire.isHeard, match: LogIndex(wire.matchIndex))
    }

    fileprivate var wire: WireMemberState {
        var wire = WireMemberState()
        wire.member = member.clusterMember
        switch role {
        case .voter: wire.role = .voter
        case .leaving: wire.role = .leaving
        case .learner: wire.role = .learner
        }
        wire.isPromoted = promotion != nil
        if let replaced = promotion?.replaces { wire.replaces = replaced.rawValue }
        wire.isLeader = isLeader
        wire.isHeard = isHeard
        wire.matchIndex = match.rawValue
        return wire
    }
}

extension MembershipRefusal {
    init(wire: WireMembershipRefusal) throws(WireError) {
        let reason: Reason
        switch wire.reason {
        case .changeUnderWay: reason = .changeUnderWay
        case .leaderNotReady: reason = .leaderNotReady
        case .unknownMember: reason = .unknownMember
        case .anotherDisk: reason = .anotherDisk
        case .invalidMember: reason = .invalidMember
        case .tooManyMembers: reason = .tooManyMembers
        case .quorumAtRisk: reason = .quorumAtRisk
        case .lastVoter: reason = .lastVoter
        case .notCaughtUp: reason = .notCaughtUp
        case .memberAlive: reason = .memberAlive
        case .notAVoter: reason = .notAVoter
        case .memberSilent: reason = .memberSilent
        case .transferFailed: reason = .transferFailed
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("membership refusal \(wire.reason.rawValue)")
        }
        self.init(reason, wire.detail)
    }

    var wire: WireMembershipRefusal {
        var wire = WireMembershipRefusal()
        wire.detail = detail
        switch reason {
        case .changeUnderWay: wire.reason = .changeUnderWay
        case .leaderNotReady: wire.reason = .leaderNotReady
        case .unknownMember: wire.reason = .unknownMember
        case .anotherDisk: wire.reason = .anotherDisk
        case .invalidMember: wire.reason = .invalidMember
        case .tooManyMembers: wire.reason = .tooManyMembers
        case .quorumAtRisk: wire.reason = .quorumAtRisk
        case .lastVoter: wire.reason = .lastVoter
        case .notCaughtUp: wire.reason = .notCaughtUp
        case .memberAlive: wire.reason = .memberAlive
        case .notAVoter: wire.reason = .notAVoter
        case .memberSilent: wire.reason = .memberSilent
        case .transferFailed: wire.reason = .transferFailed
        }
        return wire
    }
}
