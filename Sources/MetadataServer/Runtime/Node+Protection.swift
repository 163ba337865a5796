import Logging
import MetadataModel
import MetadataStore
import NIOCore
import RaftCore
import RaftLog
import Replica
import Wire

/// Damage and room: what is found, said and done about it.
extension Node {
    func received(_ notice: PeerNotice, from peer: NodeID) {
        replica.notified(notice, from: peer)
        endTurnSoon()
    }

    // MARK: What the workers find

    /// The database failed. Damage is repaired from the other members, anything else ends the node.
    func databaseFailed(_ error: StoreError) {
        guard error.isDamage else { return fail(error) }
        replica.damaged("\(error)")
        endTurnSoon()
    }

    func scrubbed(_ result: Result<ScrubResult, StoreError>) {
        switch result {
        case .success(let scrub):
            if let finding = scrub.finding {
                replica.damaged("the database is damaged: \(finding)")
                endTurnSoon()
            } else {
                protectionCounts.scrubs += 1
                loggers.storage.debug("scrub found nothing", metadata: ["applied": "\(scrub.applied)"])
            }
        case .failure(let error) where error.isDamage:
            databaseFailed(error)
        case .failure(let error):
            // Short of memory, or the node is stopping: the next scrub reads all of it again.
            loggers.storage.warning("the scrub did not finish", metadata: ["error": "\(error)"])
        }
        scheduleScrub(in: settings.scrubInterval)
    }

    func diskMeasured(_ sizes: DirectorySizes) {
        published.measured(sizes)
        replica.diskMeasured(freeBytes: sizes.free)
        endTurnSoon()
    }

    func reserveFailed(_ error: DataDirectoryError) {
        loggers.storage.warning("no room could be set aside for the log", metadata: ["error": "\(error)"])
    }

    /// The log cannot grow. Nothing is acknowledged meanwhile, and a leader hands over as with any disk that is silent.
    func logIsFull(_ error: LogError) {
        if logTrouble == nil {
            loggers.storage.error("the log waits for room", metadata: ["error": "\(error)"])
        }
        logTrouble = "the log cannot grow: \(error)"
        operations.retried(.writeLog)
        let storage = storage
        eventLoop.scheduleTask(in: Node.logRetryPause) { storage.resumeLog() }
    }

    // MARK: Time

    func startProtection() {
        let bound = loopBound
        diskTicker = eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: settings.checkInterval) { _ in
            bound.value.measureDisk()
        }
        scheduleScrub(in: min(settings.scrubInterval, Node.firstScrubDelay))
    }

    private func measureDisk() {
        storage.measureDisk(
            reserveBytes: settings.reserveBytes, highBytes: settings.replica.diskHighBytes)
    }

    private func scheduleScrub(in delay: TimeAmount) {
        guard !isStopping, replica.quarantine == nil else { return }
        let bound = loopBound
        eventLoop.scheduleTask(in: delay) {
            let node = bound.value
            guard !node.isStopping, node.replica.quarantine == nil else { return }
            node.storage.scrub()
        }
    }

    // MARK: What the replica decides

    /// Notes the damage on disk and ends this life; the next one repairs it.
    func repair(_ reason: String) {
        let marker = RepairMarker(
            phase: .discard, members: replica.core.configuration.encoded(), reason: reason)
        let path = storage.dataDirectory
        storage.inBackground {
            Result { () throws(DataDirectoryError) in try DataDirectory.mark(marker, path: path) }
        } then: { node, result in
            switch result {
            case .success: node.fail(NodeMustRestart(reason: reason))
            case .failure(let error): node.fail(error)
            }
        }
    }

    func recovered() {
        let path = storage.dataDirectory
        storage.inBackground {
            Result { () throws(DataDirectoryError) in try DataDirectory.finishRepair(path: path) }
        } then: { node, result in
            switch result {
            case .success:
                node.protectionCounts.repairs += 1
                node.loggers.storage.notice(
                    "repaired: this node holds again whatever it may have acknowledged, and votes")
            case .failure(let error):
                // The next start recovers once more, which costs only time.
                node.loggers.storage.error("cannot take the note of the repair away", metadata: ["error": "\(error)"])
            }
        }
        publish()
    }

    func note(_ event: ProtectionEvent) {
        switch event {
        case .quarantined(let reason):
            protectionCounts.quarantines += 1
            snapshotsOut.endAll(reason: "this node's state is damaged")
            for key in watches.removeAll() { respond(to: key, damaged) }
            loggers.storage.critical(
                "this node's state is damaged; nothing is answered from it, and it repairs itself from the other members",
                metadata: ["reason": "\(reason)"])
        case .stateReplaced:
            loggers.storage.notice("a snapshot has taken the place of the damaged state: this node is sound again")
            scheduleScrub(in: Node.firstScrubDelay)
        case .digestDiffers(let node, let index):
            protectionCounts.mismatches += 1
            loggers.storage.critical(
                "a member's state differs from that of the majority",
                metadata: ["node": "\(node)", "index": "\(index)"])
        case .digestsUndecided(let index):
            protectionCounts.mismatches += 1
            loggers.storage.critical(
                "the members' states differ and none has a majority: nobody can tell which is right, nothing is done",
                metadata: ["index": "\(index)"])
        case .diskLow(let free):
            loggers.storage.error(
                "the disk is nearly full: writes that make the metadata larger are refused",
                metadata: ["free_bytes": "\(free)", "until_free_bytes": "\(settings.replica.diskHighBytes)"])
        case .diskHasRoom:
            loggers.storage.notice("the disk has room again")
        }
        publish()
    }

    static let firstScrubDelay: TimeAmount = .seconds(10)
    static let logRetryPause: TimeAmount = .milliseconds(200)
}

/// What was found and done since the start, for metrics.
struct ProtectionCounts: Hashable, Sendable {
    var scrubs: UInt64 = 0
    var quarantines: UInt64 = 0
    var mismatches: UInt64 = 0
    var repairs: UInt64 = 0
}
