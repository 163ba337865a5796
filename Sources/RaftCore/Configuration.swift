/// The identity of a data directory: 128 random bits written by `metad format`. A wiped disk has another one, so it is
/// another voter even under its old node id (KIP-853).
public struct DiskID: Hashable, Sendable {
    /// The upper 64 bits.
    public var high: UInt64
    /// The lower 64 bits.
    public var low: UInt64

    /// Makes an identity from its two halves.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// "Not known": accepted only where a configuration was written by hand before the disks were formatted.
    public static let unknown = DiskID(high: 0, low: 0)
}

/// A member as the configuration in the log describes it. The node id is the identity; addresses may change.
public struct Member: Hashable, Sendable {
    /// The name of the member; it never changes.
    public var id: NodeID
    /// The disk that the member was admitted with.
    public var disk: DiskID
    /// `host:port` of the Raft listener, resolved again at each dial.
    public var peerAddress: String
    /// `host:port` that clients are redirected to.
    public var clientAddress: String

    /// Describes a member.
    public init(id: NodeID, disk: DiskID, peerAddress: String, clientAddress: String) {
        self.id = id
        self.disk = disk
        self.peerAddress = peerAddress
        self.clientAddress = clientAddress
    }
}

/// Who votes and who only listens. It lives in the log and in snapshots, nowhere else.
///
/// While `outgoing` is not empty the configuration is joint: elections and commits need a majority of `voters` *and* a
/// majority of `outgoing` (Raft §6).
public struct Configuration: Hashable, Sendable {
    /// Every member that is a voter (of either side) or a learner, sorted by id, no id twice.
    public var members: [Member]
    /// Sorted, no id twice.
    public var voters: [NodeID]
    /// The voters of the configuration that is being left; empty unless the configuration is joint. Sorted.
    public var outgoing: [NodeID]
    /// Members that receive the log and do not vote. Sorted; disjoint from `voters`.
    public var learners: [NodeID]

    /// Makes a configuration; the lists are sorted here.
    public init(members: [Member], voters: [NodeID], outgoing: [NodeID] = [], learners: [NodeID] = []) {
        self.members = members.sorted { $0.id < $1.id }
        self.voters = voters.sorted()
        self.outgoing = outgoing.sorted()
        self.learners = learners.sorted()
    }

    /// A configuration in which every member votes.
    public init(voters members: [Member]) {
        self.init(members: members, voters: members.map(\.id))
    }

    /// No member at all: a node that has not joined anything yet. It never campaigns.
    public static let empty = Configuration(members: [], voters: [])

    /// True while two sets of voters have to agree (Raft §6).
    public var isJoint: Bool { !outgoing.isEmpty }

    /// The description of a member; nil when `id` is none.
    public func member(_ id: NodeID) -> Member? { members.first { $0.id == id } }

    /// True when `id` votes on either side.
    public func isVoter(_ id: NodeID) -> Bool { voters.contains(id) || outgoing.contains(id) }

    /// True when `ids` holds a majority of each set of voters that counts (Raft §6).
    public func isQuorum(_ ids: some Sequence<NodeID>) -> Bool {
        let present = Set(ids)
        func majority(of group: [NodeID]) -> Bool {
            group.count(where: present.contains) > group.count / 2
        }
        return majority(of: voters) && (outgoing.isEmpty || majority(of: outgoing))
    }
}
