/// Something that is done to a cluster, in words that fit any cluster: who is meant is found out when it happens.
enum Fault: Hashable, Sendable {
    /// SIGKILL, and a new process when it is over.
    case kill(Target)
    /// SIGKILL, and everything that was not synced is lost.
    case losePower(Target)
    /// SIGSTOP, and SIGCONT when it is over.
    case pause(Target)
    /// Nothing passes over some links.
    case cut(Shape, LinkCondition.Passage)
    /// The same, again and again: so long cut, then so long not.
    case flap(Shape, milliseconds: Int)
    /// All links are bad.
    case degrade(LinkCondition)
    case slowSyncs(Target, milliseconds: Int)
    case hangSyncs(Target)
    /// The node ends, as it should; a new process when it is over.
    case failSyncs(Target)
    /// No room for the log.
    case fillDisk(Target)
    /// The disk says that it has synced, and has not. Only planted: nothing can hold then.
    case ignoreSyncs(Target)
    case jumpClock(Target, milliseconds: Int)
    /// Busy processes, four for each processor.
    case starveProcessors
    /// Not a byte of address space more than it has.
    case limitMemory(Target)
    /// No file can be opened, and no connection accepted.
    case takeDescriptors(Target)
    case transferLeadership
    /// One more member, and away with it when it is over.
    case changeMembers
    /// SIGTERM and a new process, one node after the other, the leader last.
    case restartEach
    /// A third of the brokers falls silent, and comes back when it is over.
    case silenceBrokers

    /// Who is meant by a fault.
    enum Target: Hashable, Sendable {
        case leader
        /// The one behind the leader, in the order of numbers.
        case follower
        case followers
        /// As many followers as may be away.
        case minority
        case all
        case node(Int)
    }

    /// How a network breaks, seen from who leads.
    enum Shape: Hashable, Sendable {
        case isolated(Target)
        /// The leader with as many others as do not make a majority, and the rest.
        case leaderInMinority
        case leaderInMajority
        case oneWayFromLeader
        case oneWayToLeader
        case deaf(Target)
        case mute(Target)
        case bridge
        case ring
    }
}

/// A fault with its time, from the beginning of its round.
struct PlannedFault: Hashable, Sendable {
    var fault: Fault
    var begins: Duration
    var lasts: Duration

    init(_ fault: Fault, at begins: Duration = .milliseconds(800), lasting lasts: Duration = .milliseconds(1_800)) {
        self.fault = fault
        self.begins = begins
        self.lasts = lasts
    }

    func overlaps(_ other: PlannedFault) -> Bool {
        begins < other.begins + other.lasts && other.begins < begins + lasts
    }
}

extension Fault {
    var needsCuttableNetwork: Bool {
        switch self {
        case .cut, .flap, .degrade: true
        case .kill, .losePower, .pause, .slowSyncs, .hangSyncs, .failSyncs, .fillDisk, .ignoreSyncs, .jumpClock,
            .starveProcessors, .limitMemory, .takeDescriptors, .transferLeadership, .changeMembers, .restartEach,
            .silenceBrokers:
            false
        }
    }

    /// Whether nodes have to run with the library of faults.
    var needsLibrary: Bool {
        switch self {
        case .losePower, .slowSyncs, .hangSyncs, .failSyncs, .fillDisk, .ignoreSyncs, .jumpClock: true
        case .kill, .pause, .cut, .flap, .degrade, .starveProcessors, .limitMemory, .takeDescriptors,
            .transferLeadership, .changeMembers, .restartEach, .silenceBrokers:
            false
        }
    }
}

extension Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .kill(let target): "SIGKILL of \(target)"
        case .losePower(let target): "loss of power of \(target)"
        case .pause(let target): "SIGSTOP of \(target)"
        case .cut(let shape, let passage): "\(shape), \(passage.rawValue)"
        case .flap(let shape, let milliseconds): "\(shape), on and off every \(milliseconds) ms"
        case .degrade(let condition): "links: \(condition)"
        case .slowSyncs(let target, let milliseconds): "syncs of \(target) take \(milliseconds) ms longer"
        case .hangSyncs(let target): "syncs of \(target) hang"
        case .failSyncs(let target): "syncs of \(target) fail"
        case .fillDisk(let target): "disk of \(target) full"
        case .ignoreSyncs(let target): "syncs of \(target) do nothing"
        case .jumpClock(let target, let milliseconds): "clock of \(target) jumps by \(milliseconds) ms"
        case .starveProcessors: "processors busy"
        case .limitMemory(let target): "no more memory for \(target)"
        case .takeDescriptors(let target): "no descriptors for \(target)"
        case .transferLeadership: "transfer of leadership"
        case .changeMembers: "a member comes and goes"
        case .restartEach: "rolling restart"
        case .silenceBrokers: "silent brokers"
        }
    }
}

extension Fault.Target: CustomStringConvertible {
    var description: String {
        switch self {
        case .leader: "the leader"
        case .follower: "a follower"
        case .followers: "all followers"
        case .minority: "a minority"
        case .all: "all nodes"
        case .node(let id): "node \(id)"
        }
    }
}

extension Fault.Shape: CustomStringConvertible {
    var description: String {
        switch self {
        case .isolated(let target): "\(target) isolated"
        case .leaderInMinority: "halves, the leader in the smaller one"
        case .leaderInMajority: "halves, the leader in the larger one"
        case .oneWayFromLeader: "one way, from the leader to a follower"
        case .oneWayToLeader: "one way, from a follower to the leader"
        case .deaf(let target): "\(target) hears nobody"
        case .mute(let target): "\(target) is heard by nobody"
        case .bridge: "bridge"
        case .ring: "ring"
        }
    }
}

extension LinkCondition: CustomStringConvertible {
    var description: String {
        var words: [String] = passage == .open ? [] : [passage.rawValue]
        if delay > .zero { words.append("\(delay) late") }
        if jitter > .zero { words.append("up to \(jitter) more") }
        if lossPerMille > 0 { words.append("\(lossPerMille) of 1000 packets lost") }
        if let bytesPerSecond { words.append("\(bytesPerSecond) bytes a second") }
        return words.isEmpty ? "open" : words.joined(separator: ", ")
    }
}
