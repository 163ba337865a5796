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

    /// 32 hexadecimal digits, as in the file `identity`.
    package var text: String {
        [high, low].map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Reads what `text` writes; nil for anything else.
    package init?(text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
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

/// A learner that is to become a voter by itself once it has caught up.
public struct Promotion: Hashable, Sendable {
    /// Who is promoted.
    public var learner: NodeID
    /// The member whose place it takes, which leaves in the same step; nil when it joins beside the others.
    public var replaces: NodeID?

    /// Describes a promotion that is still to come.
    public init(learner: NodeID, replaces: NodeID? = nil) {
        self.learner = learner
        self.replaces = replaces
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
    /// Members that receive the log and do not vote. Sorted; disjoint from `voters`. One of `outgoing` may be here, as
    /// earlier builds wrote it: it came back on another disk, has forgotten its votes and entries, and counts on neither side.
    public var learners: [NodeID]
    /// Which learners become voters by themselves. Sorted by learner, no learner twice; each is one of `learners`.
    public var promotions: [Promotion]

    /// Makes a configuration; the lists are sorted here.
    public init(
        members: [Member], voters: [NodeID], outgoing: [NodeID] = [], learners: [NodeID] = [],
        promotions: [Promotion] = []
    ) {
        self.members = members.sorted { $0.id < $1.id }
        self.voters = voters.sorted()
        self.outgoing = outgoing.sorted()
        self.learners = learners.sorted()
        self.promotions = promotions.sorted { $0.learner < $1.learner }
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

    /// True when `id` votes on either side. An outgoing voter that stays as a learner does not: see `learners`.
    public func isVoter(_ id: NodeID) -> Bool {
        voters.contains(id) || outgoing.contains(id) && !learners.contains(id)
    }

    /// The promotion that awaits `id`; nil when it votes already, or stays a learner.
    public func promotion(of id: NodeID) -> Promotion? { promotions.first { $0.learner == id } }

    /// True when `ids` holds a majority of each set of voters that counts (Raft §6).
    public func isQuorum(_ ids: some Sequence<NodeID>) -> Bool {
        let present = Set(ids)
        return hasMajority(where: present.contains)
    }
}
