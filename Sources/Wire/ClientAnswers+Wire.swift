internal import MetadataModel
internal import RaftCore

extension LeaderHint {
    init(wire: WireLeaderHint) {
        self.init(nodeID: wire.nodeID, address: wire.address, term: wire.term)
    }

    var wire: WireLeaderHint {
        var wire = WireLeaderHint()
        wire.nodeID = nodeID
        wire.address = address
        wire.term = term
        return wire
    }
}

extension MemberAddress {
    init(wire: WireMemberAddress) {
        self.init(
            nodeID: wire.nodeID, clientAddress: wire.clientAddress, peerAddress: wire.peerAddress,
            isVoter: wire.isVoter)
    }

    var wire: WireMemberAddress {
        var wire = WireMemberAddress()
        wire.nodeID = nodeID
        wire.clientAddress = clientAddress
        wire.peerAddress = peerAddress
        wire.isVoter = isVoter
        return wire
    }
}

extension ServerHello {
    init(wire: WireServerHello) {
        self.init(
            clusterID: wire.clusterID, nodeID: wire.nodeID,
            leader: wire.hasLeader ? LeaderHint(wire: wire.leader) : nil,
            members: wire.members.map(MemberAddress.init(wire:)),
            leaderWaitMilliseconds: wire.leaderWaitMilliseconds)
    }

    var wire: WireServerHello {
        var wire = WireServerHello()
        wire.clusterID = clusterID
        wire.nodeID = nodeID
        if let leader { wire.leader = leader.wire }
        wire.members = members.map(\.wire)
        wire.leaderWaitMilliseconds = leaderWaitMilliseconds
        return wire
    }
}

extension NodeStatus {
    init(wire: WireNodeStatus) throws(WireError) {
        self.init(
            clusterID: wire.clusterID, nodeID: wire.nodeID, role: wire.role, term: wire.term,
            leader: wire.hasLeader ? LeaderHint(wire: wire.leader) : nil, commitIndex: wire.commitIndex,
            appliedIndex: wire.appliedIndex, version: Version(wire.version), digest: wire.digest,
            healthy: wire.healthy, detail: wire.detail, members: wire.members.map(MemberAddress.init(wire:)),
            disk: DiskID(high: wire.diskHigh, low: wire.diskLow), clientAddress: wire.clientAddress,
            peerAddress: wire.peerAddress, featureLevel: wire.featureLevel,
            coordinator: wire.hasCoordinator ? try CoordinatorStatus(wire: wire.coordinator) : nil,
            healthURL: wire.healthURL, metricsURL: wire.metricsURL)
    }

    var wire: WireNodeStatus {
        var wire = WireNodeStatus()
        wire.clusterID = clusterID
        wire.nodeID = nodeID
        wire.role = role
        wire.term = term
        if let leader { wire.leader = leader.wire }
        wire.commitIndex = commitIndex
        wire.appliedIndex = appliedIndex
        wire.version = version.rawValue
        wire.digest = digest
        wire.healthy = healthy
        wire.detail = detail
        wire.members = members.map(\.wire)
        wire.diskHigh = disk.high
        wire.diskLow = disk.low
        wire.clientAddress = clientAddress
        wire.peerAddress = peerAddress
        wire.featureLevel = featureLevel
        if let coordinator { wire.coordinator = coordinator.wire }
        wire.healthURL = healthURL
        wire.metricsURL = metricsURL
        return wire
    }
}

extension ServiceFailure {
    init(wire: WireServiceFailure) throws(WireError) {
        self.init(
            code: try Code(wire: wire.code), detail: wire.detail, isDefinite: wire.isDefinite,
            leader: wire.hasLeader ? LeaderHint(wire: wire.leader) : nil,
            retryAfterMilliseconds: wire.retryAfterMilliseconds, openBreaker: wire.openBreaker,
            context: wire.hasContext ? try FailureContext(wire: wire.context) : nil, requestID: wire.requestID)
    }

    var wire: WireServiceFailure {
        var wire = WireServiceFailure()
        wire.code = code.wire
        wire.detail = detail
        wire.isDefinite = isDefinite
        if let leader { wire.leader = leader.wire }
        wire.retryAfterMilliseconds = retryAfterMilliseconds
        wire.openBreaker = openBreaker
        if let context { wire.context = context.wire }
        wire.requestID = requestID
        return wire
    }
}

extension ServiceFailure.Code {
    init(wire: WireFailureCode) throws(WireError) {
        switch wire {
        case .notLeader: self = .notLeader
        case .noLeader: self = .noLeader
        case .overloaded: self = .overloaded
        case .deadlineExceeded: self = .deadlineExceeded
        case .shuttingDown: self = .shuttingDown
        case .wrongCluster: self = .wrongCluster
        case .invalidRequest: self = .invalidRequest
        case .leadershipLost: self = .leadershipLost
        case .storageFailed: self = .storageFailed
        case .unsupportedProtocol: self = .unsupportedProtocol
        case .unknownBroker: self = .unknownBroker
        case .diskFull: self = .diskFull
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("failure code \(wire.rawValue)")
        }
    }

    var wire: WireFailureCode {
        switch self {
        case .notLeader: .notLeader
        case .noLeader: .noLeader
        case .overloaded: .overloaded
        case .deadlineExceeded: .deadlineExceeded
        case .shuttingDown: .shuttingDown
        case .wrongCluster: .wrongCluster
        case .invalidRequest: .invalidRequest
        case .leadershipLost: .leadershipLost
        case .storageFailed: .storageFailed
        case .unsupportedProtocol: .unsupportedProtocol
        case .unknownBroker: .unknownBroker
        case .diskFull: .diskFull
        }
    }
}
