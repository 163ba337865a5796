import RaftCore

extension FuzzTarget {
    /// What RaftCore itself writes into logs: configurations.
    static let core = [
        FuzzTarget(name: "configuration", examples: { exampleConfigurations().map { $0.encoded() } }) { bytes in
            try roundTrip(bytes, decode: { try Configuration(decoding: $0) }, encode: { $0.encoded() })
        }
    ]
}

func exampleMember(_ id: UInt64) -> Member {
    Member(
        id: NodeID(id), disk: DiskID(high: id &* 0x9e37, low: id), peerAddress: "node\(id).example:7401",
        clientAddress: "node\(id).example:7400")
}

func exampleConfigurations() -> [Configuration] {
    let members = (1...5).map { exampleMember($0) }
    return [
        Configuration(voters: Array(members[..<1])), Configuration(voters: Array(members[..<3])),
        Configuration(
            members: members, voters: [1, 4, 5].map { NodeID($0) }, outgoing: [1, 2, 3].map { NodeID($0) }),
        Configuration(
            members: members, voters: [1, 2, 3].map { NodeID($0) }, learners: [4, 5].map { NodeID($0) }),
    ]
}
