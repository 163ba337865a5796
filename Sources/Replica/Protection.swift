internal import MetadataModel
internal import RaftCore

/// What a member knows of damage and of room: its own, and that of the others.
struct Protection {
    enum State: Hashable {
        /// Exits: `quarantined` when damage is found.
        case sound
        /// Damage was found at this time: nothing is answered from the state, leadership is handed over, and the repair waits
        /// until the others can spare this member. Exits: `repairing`, or `sound` when a snapshot takes the state's place.
        case quarantined(reason: String, since: UInt64)
        /// The runtime was told to begin anew. No exit: this life ends.
        case repairing(reason: String)
    }

    private struct Heard {
        var condition: PeerCondition
        var at: UInt64
    }

    var state = State.sound
    var room: DiskRoom
    /// The database takes nothing for the moment, whatever the disk says of its room.
    var isSuspended = false
    var comparison = DigestComparison()
    /// No digest had a majority at this entry; nil when the last comparison agreed.
    var undecidedAt: UInt64?
    /// This member's own latest digests, to be compared with a verdict.
    private var marks: [DigestMark] = []
    private var heard: [NodeID: Heard] = [:]
    var announcedAt: UInt64?
    var comparedAt: UInt64
    /// The log ends here when nothing but the last comparison was written.
    var comparedThrough = LogIndex.zero
    /// When leadership was last offered because of the disk.
    var offeredAt: UInt64?

    static let marksMax = 8

    init(room: DiskRoom, now: UInt64) {
        self.room = room
        comparedAt = now
    }

    /// A member with room is to lead in place of this one.
    var lacksRoom: Bool { room.isLow || isSuspended }

    /// Why nothing is answered from the state; nil on a sound member.
    var quarantine: String? {
        switch state {
        case .sound: nil
        case .quarantined(let reason, _), .repairing(let reason): reason
        }
    }

    mutating func remember(_ mark: DigestMark) {
        marks.append(mark)
        if marks.count > Self.marksMax { marks.removeFirst() }
    }

    /// True when this member has another digest than `verdict` there.
    func contradicts(_ verdict: DigestMark) -> Bool {
        marks.contains { $0.index == verdict.index && $0.digest != verdict.digest }
    }

    /// A snapshot took the place of the state: what was known of the state before says nothing of this one.
    ///
    /// - Returns: whether the state before was damaged.
    mutating func stateReplaced() -> Bool {
        marks.removeAll()
        guard case .quarantined = state else { return false }
        state = .sound
        return true
    }

    mutating func heard(_ condition: PeerCondition, of node: NodeID, now: UInt64) {
        heard[node] = Heard(condition: condition, at: now)
    }

    mutating func found(unfit node: NodeID, now: UInt64) {
        heard[node] = Heard(condition: PeerCondition(isDiskLow: false, isUnfit: true), at: now)
    }

    func isUnfit(_ node: NodeID) -> Bool { heard[node]?.condition.isUnfit ?? false }
    func isDiskLow(_ node: NodeID) -> Bool { heard[node]?.condition.isDiskLow ?? false }

    /// Members that said lately that they are whole.
    func fit(since oldest: UInt64) -> [NodeID] {
        heard.filter { $0.value.at >= oldest && !$0.value.condition.isUnfit }.keys.sorted()
    }
}
