package import RaftCore

/// A leader whose disk owes an answer and gives none hands over or steps down, however well its heartbeats flow
/// (hashicorp/raft 503).
package struct SilentDiskChecker {
    private struct Disk {
        /// Writes that were handed to it, and how many of them are synced.
        var handedOut: UInt64 = 0
        var synced: UInt64 = 0
        /// When it last answered, or was first asked after that; nil when it owes nothing.
        var silentSince: UInt64?
    }

    private let boundMicroseconds: UInt64
    private var disks = NodeTable<Disk>()

    package init(boundMicroseconds: UInt64) { self.boundMicroseconds = boundMicroseconds }

    /// A process starts, or one that was stopped goes on: what it knows of its disk begins now.
    package mutating func restarts(_ node: NodeID) { disks[node] = nil }

    /// The end of a turn, in which writes up to `handedOut` were given to the disk; nil for none. `inFlight` are not synced.
    package mutating func observes(
        _ node: NodeID, leads: Bool, handedOut: UInt64?, inFlight: Int, at now: UInt64
    ) throws(Violation) {
        var disk = disks[node] ?? Disk()
        disk.handedOut = handedOut ?? disk.handedOut
        let synced = disk.handedOut >= UInt64(inFlight) ? disk.handedOut - UInt64(inFlight) : 0
        if inFlight == 0 {
            disk.silentSince = nil
        } else if disk.silentSince == nil || synced > disk.synced {
            disk.silentSince = now
        }
        disk.synced = synced
        disks[node] = disk
        guard leads, let since = disk.silentSince, now - since > boundMicroseconds else { return }
        throw Violation(
            rule: "a leader with a silent disk hands over",
            detail: "node \(node) leads, and its disk owes \(inFlight) answers for \(now - since) us")
    }
}
