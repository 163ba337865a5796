import Logging
import MetadataModel
import MetadataStore
import NIOCore
import OrderedCollections
import RaftCore
import RaftLog
import Replica
import Resilience
import Wire

/// What the workers bring back.
extension Node {
    static let feedRetryPause: TimeAmount = .milliseconds(100)
    private static let applyRetryPause: TimeAmount = .seconds(1)
    private static let commitPause: TimeAmount = .milliseconds(20)

    func finished(_ outcome: LogJobOutcome) {
        switch outcome {
        case .persisted(let sequence):
            logTrouble = nil
            replica.persisted(sequence)
            endTurnSoon()
        case .compacted:
            break
        case .full(let error):
            logIsFull(error)
        case .failed(let error):
            // A log that was found damaged is repaired at the next start, where all of it is read. Any other error is the disk's.
            if error.isRepairable { fail(NodeMustRestart(reason: "\(error)")) } else { fail(error) }
        }
    }

    func finished(_ result: ApplyResult) {
        switch result {
        case .applied(let report, let events, let digest):
            self.digest = digest
            // What cannot be committed can still be applied, in memory.
            if !commitFails { applyingGoesOn() }
            lastCommitAt = .now()
            for event in events { logBrokers(event) }
            replica.applied(report)
            watches.applied(events)
            commitSoon()
        case .installed(let image, let digest, let snapshot):
            self.digest = digest
            watches.reset(to: image.version)
            replica.snapshotInstalled(image)
            snapshotsIn.installed(snapshot.id)
            loggers.snapshots.info("snapshot installed", metadata: ["position": "\(snapshot.position)"])
        case .installFailed(let error, let snapshot):
            loggers.snapshots.error("snapshot was not installed", metadata: ["error": "\(error)"])
            replica.snapshotInstallFailed()
            snapshotsIn.failed(snapshot.id, "\(error)")
        case .suspended(let error, let entries):
            applyingIsSuspended(error)
            let storage = storage
            eventLoop.scheduleTask(in: Node.applyRetryPause) { storage.apply(entries) }
        case .checkpointed(let result):
            checkpointed(result)
        case .failed(let error):
            databaseFailed(error)
        }
        endTurnSoon()
    }

    private func applyingGoesOn() {
        guard storeTrouble != nil else { return }
        loggers.storage.notice("applying goes on")
        gate.proposals.probeSoon()
        storeTrouble = nil
        replica.applyingChanged(isSuspended: false)
    }

    private func applyingIsSuspended(_ error: StoreError) {
        if storeTrouble == nil {
            loggers.storage.error(
                "applying is suspended, and tried again every second", metadata: ["error": "\(error)"])
        }
        storeTrouble = "\(error)"
        replica.applyingChanged(isSuspended: true)
        operations.retried(.apply)
    }

    /// What was applied is committed together with what is applied until then, unless somebody asks for it before.
    private func commitSoon(in pause: TimeAmount = Node.commitPause) {
        guard !commitIsScheduled else { return }
        commitIsScheduled = true
        let bound = loopBound
        eventLoop.scheduleTask(in: pause) {
            let node = bound.value
            node.commitIsScheduled = false
            let hasTrouble = node.storeTrouble != nil
            node.storage.commit { [storage = node.storage] error in
                // Nobody waits to hear that all is well.
                if error != nil || hasTrouble { storage.onLoop { $0.committed(error) } }
            }
        }
    }

    func committed(_ error: StoreError?) {
        commitFails = error != nil
        guard let error else { return applyingGoesOn() }
        guard error.isRetriable else { return databaseFailed(error) }
        applyingIsSuspended(error)
        commitSoon(in: Node.applyRetryPause)
    }

    func answered(_ answers: [EncodedAnswer], failure: StoreError?) {
        for answer in answers { deliver(answer) }
        if let failure, !failure.isRetriable { databaseFailed(failure) }
        endTurnSoon()
    }

    func deliver(_ answer: EncodedAnswer) {
        switch answer {
        case .reply(let id, let request, let status, var frame):
            guard let connection = connections[id] else { return }
            connection.send(encoded: &frame, to: request, status)
            unsent.append(id)
        case .failure(let connection, let request, let failure):
            respond(to: RequestToken(connection: connection, request: request), .failure(failure))
        case .catchUp(let key, let ticket, .notYet):
            // The feed could not be read: soon again, but not at once for ever.
            operations.retried(.readFeed)
            let bound = loopBound
            eventLoop.scheduleTask(in: Node.feedRetryPause) {
                bound.value.caughtUp(key, ticket: ticket, with: .notYet(current: .zero))
            }
        case .catchUp(let key, let ticket, let page):
            caughtUp(key, ticket: ticket, with: page)
        }
    }

    private func caughtUp(_ key: WatchKey, ticket: UInt64, with page: ChangePage) {
        if let action = watches.caughtUp(key, ticket: ticket, with: page) { perform(action) }
        endTurnSoon()
    }

    func checkpointed(_ result: Result<LogPosition, StoreError>) {
        switch result {
        case .success(let position):
            replica.checkpointed(position)
        case .failure(let error) where error.isDamage:
            replica.checkpointed(.zero)
            databaseFailed(error)
        case .failure(.refused):
            // The failures before were logged.
            replica.checkpointed(.zero)
        case .failure(let error):
            // A sync that failed is not tried again: the next one could succeed without what this one lost (fsyncgate).
            guard error.isRetriable else { return fail(error) }
            // The log keeps what the database could not take; the next checkpoint tries again.
            loggers.storage.error("checkpoint failed", metadata: ["error": "\(error)"])
            replica.checkpointed(.zero)
        }
        endTurnSoon()
    }

    /// What became of brokers, with what it did to their partitions: the first thing that is asked for after an incident.
    private func logBrokers(_ event: ChangeEvent) {
        for change in event.changes {
            switch change {
            case .brokerChanged(let broker):
                let before = replica.broker(broker.id)
                guard before?.state != broker.state || before?.epoch != broker.epoch else { continue }
                let partitions = event.changes.compactMap { change in
                    if case .partitionChanged(let partition, _) = change { partition } else { nil }
                }
                loggers.registry.log(
                    level: broker.state == .fenced && before?.state == .active ? .warning : .info,
                    before?.epoch == broker.epoch ? "broker \(broker.state.rawValue)" : "broker registered",
                    metadata: [
                        "broker_id": "\(broker.id)", "broker_epoch": "\(broker.epoch)",
                        "partitions_changed": "\(partitions.count)",
                        "partitions_offline": "\(partitions.count { $0.leader == nil })", "version": "\(event.version)",
                    ])
            case .brokerRemoved(let id):
                loggers.registry.info(
                    "broker unregistered", metadata: ["broker_id": "\(id)", "version": "\(event.version)"])
            case .configChanged(let entry):
                if let rebalance = Rebalance(entry) { note(rebalance) }
            case .topicChanged, .topicRemoved, .partitionChanged, .configRemoved:
                continue
            }
        }
    }
}
