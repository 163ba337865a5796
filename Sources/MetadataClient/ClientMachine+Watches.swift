import MetadataModel
import NIOCore
import Resilience
import Wire

/// Watches: each is carried by one connection at a time and resumed by version on the next (pitfall 39).
extension ClientMachine {
    /// Asks nodes for the watches that none carries. Each attempt has a request id of its own, so that what a cancelled
    /// attempt still delivers is told apart.
    mutating func placeWatches(now: NIODeadline) {
        guard !unplacedWatches.isEmpty else { return }
        for id in unplacedWatches.sorted() {
            guard var watch = watches[id] else {
                unplacedWatches.remove(id)
                continue
            }
            let ready = readyNodes { nodes[$0.index].ready?.isWritable == true }
            let preferred = ready.filter {
                $0 != watch.avoids && nodes[$0.index].ready?.leaderlessSince == nil
                    && nodes[$0.index].breaker.admits(now: now.sinceStart)
            }
            let chosen = (preferred.isEmpty ? ready : preferred).randomElement(using: &random)
            guard let chosen, let connection = nodes[chosen.index].connection else { return }
            let requestID = nextInternalID()
            watchRequests[requestID] = id
            watch.place = .open(connection, requestID: requestID)
            watches[id] = watch
            unplacedWatches.remove(id)
            nodes[chosen.index].updateReady { link in
                if link.watches == 0 { link.nextWatchProbe = now + ClientMachine.watchProbeInterval }
                link.watches += 1
                link.usedAt = now
            }
            let request = ClientRequest.watch(after: watch.cursor, filter: watch.filter)
            actions.append(.send(connection, ClientRequestFrame(id: requestID, request: request)))
        }
    }

    /// Takes a watch off its connection. `tellNode`: the connection lives on.
    private mutating func detach(_ watch: inout Watch, tellNode: Bool) {
        guard case .open(let connection, let requestID) = watch.place else { return }
        watchRequests.removeValue(forKey: requestID)
        watch.place = .unplaced
        guard nodes[connection.node.index].ready?.connection == connection else { return }
        nodes[connection.node.index].updateReady { $0.watches -= 1 }
        if tellNode {
            let frame = ClientRequestFrame(id: nextInternalID(), request: .cancelWatch(requestID: requestID))
            actions.append(.send(connection, frame))
        }
    }

    /// The connection is gone, or its node is not to be used: other nodes go on.
    mutating func moveWatches(off connection: ConnectionID, tellNode: Bool) {
        for id in watches.keys.sorted() {
            guard var watch = watches[id], case .open(connection, _) = watch.place else { continue }
            detach(&watch, tellNode: tellNode)
            watch.avoids = connection.node
            watches[id] = watch
            unplacedWatches.insert(id)
        }
    }

    // MARK: Inputs

    mutating func cancelWatch(_ id: CallID) {
        guard var watch = watches.removeValue(forKey: id) else { return }
        detach(&watch, tellNode: true)
        unplacedWatches.remove(id)
    }

    /// The consumer has made room.
    mutating func resumeWatch(_ id: CallID) {
        guard let watch = watches[id], case .paused = watch.place else { return }
        watches[id]?.place = .unplaced
        unplacedWatches.insert(id)
    }

    /// The consumer holds more than enough: the stream stops here, and is asked for again after `cursor`.
    mutating func watchFilled(_ id: CallID) {
        guard var watch = watches[id] else { return }
        detach(&watch, tellNode: true)
        watch.place = .paused
        watches[id] = watch
        unplacedWatches.remove(id)
    }

    /// Answers that belong to a watch. Answers whether they made sense.
    mutating func watchAnswered(_ id: CallID, _ response: ClientResponse) -> Bool {
        guard var watch = watches[id] else { return true }
        switch response {
        case .watchEvents(let events, let through):
            var delivered: [WatchEvent] = []
            for event in events where event.version > watch.cursor {
                delivered.append(.changes(event))
                watch.cursor = event.version
            }
            guard isOrdered(events) else { return false }
            if through > watch.cursor {
                watch.cursor = through
                delivered.append(.progress(through))
            }
            watches[id] = watch
            actions.append(.deliver(id, watch.buffer, delivered))
        case .watchProgress(let through):
            // Also when it is nothing new: that the node was heard tells how old an image may be.
            let isNew = through > watch.cursor
            watch.cursor = max(watch.cursor, through)
            watches[id] = watch
            actions.append(.deliver(id, watch.buffer, isNew ? [.progress(through)] : []))
        case .watchTooOld(let oldest):
            endWatch(id, delivering: [.restart(oldest: oldest)], failure: nil)
        case .failure(let failure):
            watchFailed(id, watch, failure)
        case .hello, .write, .read, .heartbeat, .nodeStatus, .members, .membershipRefused, .control, .breakers:
            return false
        }
        return true
    }

    private func isOrdered(_ events: [ChangeEvent]) -> Bool {
        zip(events, events.dropFirst()).allSatisfy { $0.version < $1.version }
    }

    private mutating func watchFailed(_ id: CallID, _ watch: Watch, _ failure: ServiceFailure) {
        switch failure.code {
        case .invalidRequest:
            endWatch(id, delivering: [], failure: CallFailure(.invalidRequest, .definite, failure.detail))
        case .notLeader, .noLeader, .overloaded, .deadlineExceeded, .shuttingDown, .wrongCluster, .leadershipLost,
            .storageFailed, .unsupportedProtocol, .unknownBroker, .diskFull:
            // Some other node may do, after a pause: the next tick places it.
            var watch = watch
            if case .open(let connection, _) = watch.place { watch.avoids = connection.node }
            detach(&watch, tellNode: false)
            watches[id] = watch
            failedWatches.append(id)
        }
    }

    mutating func endWatch(_ id: CallID, delivering events: [WatchEvent], failure: CallFailure?) {
        guard var watch = watches.removeValue(forKey: id) else { return }
        detach(&watch, tellNode: false)
        unplacedWatches.remove(id)
        if !events.isEmpty { actions.append(.deliver(id, watch.buffer, events)) }
        actions.append(.finishWatch(watch.buffer, failure))
    }

    /// Watches that a node refused are asked for again, once a tick, so that nodes that all refuse are not flooded.
    mutating func retryFailedWatches() {
        for id in failedWatches where watches[id] != nil { unplacedWatches.insert(id) }
        failedWatches.removeAll()
    }
}
