import Coordination
import MetadataModel
import NIOCore
import RaftCore
import Wire

/// What the latest word of the node loop says of each part.
struct ReadingChecks {
    /// A loop that has said nothing for this long is in trouble; whether the process should be restarted is another question.
    static let silenceMax: Duration = .seconds(2)
    /// The brokers' leases are looked at with every tick of Raft's timers.
    static let leaseCheckMax: Duration = .seconds(5)

    let reading: NodeReading
    /// How old the word is.
    let age: Duration
    /// Writes that wait for longer are not getting committed.
    let proposalTimeout: Duration

    func result(of component: HealthComponent) -> CheckResult {
        switch component {
        case .loop: loop
        case .leader: leader
        case .quorum: quorum
        case .propose: propose
        case .log: reading.logTrouble.map { .fail($0) } ?? .pass
        case .apply: apply
        case .storage: .pass
        case .disk: disk
        case .digest: digest
        case .brokers: brokers
        case .coordinator: coordinator
        }
    }

    private var loop: CheckResult {
        age > Self.silenceMax ? .fail("the node loop has not turned for \(age.inTenths)") : .pass
    }

    private var leader: CheckResult {
        guard let leader = reading.status.leader else { return .fail("no leader is known") }
        return .pass(reading.isLeader ? "this node leads" : "node \(leader.nodeID) leads")
    }

    private var quorum: CheckResult {
        guard reading.isLeader else { return .pass }
        let silent = reading.silentPeers
        guard !silent.isEmpty else { return .pass }
        let list = silent.map(\.description).joined(separator: ", ")
        guard reading.votersHeard > reading.voters.count / 2 else {
            return .fail("no majority is heard; silent: \(list)")
        }
        return .warn("silent: \(list)")
    }

    private var propose: CheckResult {
        guard reading.isLeader else { return .pass }
        let since = Duration.nanoseconds(reading.sinceCommit.nanoseconds)
        guard reading.openWrites > 0, since > proposalTimeout else { return .pass }
        return .fail("\(reading.openWrites) writes wait, and nothing was committed for \(since.inTenths)")
    }

    private var apply: CheckResult {
        if let trouble = reading.storeTrouble { return .fail(trouble) }
        let behind = reading.status.commitIndex - min(reading.status.appliedIndex, reading.status.commitIndex)
        return behind > Node.lagEntriesMax ? .fail("catching up: \(behind) entries are not applied yet") : .pass
    }

    private var disk: CheckResult {
        guard reading.protection.isDiskLow else { return .pass }
        return .warn("nearly full: writes that make the metadata larger are refused until there is room")
    }

    private var digest: CheckResult {
        guard let index = reading.protection.undecidedDigest else { return .pass }
        return .warn("the members' states differ at entry \(index) and none has a majority")
    }

    private var brokers: CheckResult {
        let active = reading.brokers.count { $0.state == .active }
        let counts = "\(active) of \(reading.brokers.count) active"
        guard reading.isLeader else { return .pass(counts) }
        guard let liveness = reading.liveness else { return .warn("\(counts); heartbeats are not watched") }
        let unchecked = Duration.milliseconds(reading.takenAt - min(liveness.checkedAt, reading.takenAt))
        guard unchecked <= Self.leaseCheckMax else {
            return .warn("\(counts); leases were not checked for \(unchecked.inTenths)")
        }
        guard let since = liveness.millisecondsSinceHeartbeat else { return .pass("\(counts); none was heard yet") }
        return .pass("\(counts); the last heartbeat was \(Duration.milliseconds(since).inTenths) ago")
    }

    private var coordinator: CheckResult {
        guard reading.isLeader else { return .pass }
        guard let status = reading.status.coordinator else { return .warn("it does not run") }
        let detail = status.activity.rawValue + (status.detail.isEmpty ? "" : ": \(status.detail)")
        switch status.activity {
        case .idle, .planning, .moving: return .pass(detail)
        case .paused, .stuck: return .warn(detail)
        }
    }
}

extension NodeReading {
    var isLeader: Bool { status.leader?.nodeID == status.nodeID }
    /// Of whom a leader has not heard within an election timeout; sorted.
    var silentPeers: [NodeID] { peers.filter { !$0.isActive }.map(\.id).sorted() }

    /// Of a leader, itself included.
    var votersHeard: Int {
        let silent = silentPeers
        return voters.count { !silent.contains($0) }
    }
}

extension Duration {
    /// `2.3 s`, for people.
    var inTenths: String {
        let tenths = Int((self / .milliseconds(100)).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
