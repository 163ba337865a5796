/// What a command does: rows that change and the answer, or a refusal.
package enum Decision: Hashable, Sendable {
    /// At most one change of each row; `before` is the row in the view. Nothing changes when the command holds already or
    /// only validates. A nil `result` stands for `.changed` with the version that the metadata has after the changes.
    case done(changes: [Change], result: CommandResult?)
    case refused(Refusal)

    /// The command holds already.
    static let unchanged = Decision.done(changes: [], result: nil)

    static func refused(_ reason: Refusal.Reason, _ detail: String) -> Decision { .refused(Refusal(reason, detail)) }
}

/// Decides a command at log index `index` and log time `timeMilliseconds`. Pure: it reads the command and the view and
/// nothing else, so every node decides alike. Throws only what the view throws.
package func decide<View: MetadataView>(
    _ command: Command, index: UInt64, timeMilliseconds: UInt64, view: View
) throws(View.Failure) -> Decision {
    let decider = Decider(view: view, index: index, timeMilliseconds: timeMilliseconds)
    switch command {
    case .registerBroker(let command): return try decider.register(command)
    case .unregisterBroker(let id, let epoch, let force):
        return try decider.unregister(id, epoch: epoch, force: force)
    case .fenceBroker(let id, let epoch): return try decider.fence(id, epoch: epoch)
    case .unfenceBroker(let id, let epoch): return try decider.unfence(id, epoch: epoch)
    case .beginShutdown(let id, let epoch): return try decider.beginShutdown(id, epoch: epoch)
    case .drainBroker(let id, let epoch): return try decider.setDraining(true, id, epoch: epoch)
    case .cancelDrain(let id, let epoch): return try decider.setDraining(false, id, epoch: epoch)
    case .createTopic(let command): return try decider.createTopic(command)
    case .deleteTopic(let topic, let ifVersion): return try decider.deleteTopic(topic, ifVersion: ifVersion)
    case .createPartitions(let command): return try decider.createPartitions(command)
    case .alterConfigs(let command): return try decider.alterConfigs(command)
    case .changePartitionLeader(let command): return try decider.changeLeader(command)
    case .alterPartition(let command): return try decider.alterPartition(command)
    case .alterPartitions(let command): return try decider.alterPartitions(command)
    case .electLeaders(let command): return try decider.electLeaders(command)
    case .reassignPartitions(let command): return try decider.reassignPartitions(command)
    case .startRebalance(let command): return try decider.startRebalance(command)
    case .moveReplicas(let command): return try decider.moveReplicas(command)
    case .endRebalance(let command): return try decider.endRebalance(command)
    case .noteSilence(let notes): return try decider.noteSilence(notes)
    case .takeStep: return try decider.takeStep()
    case .openSession(let timeout): return try decider.openSession(timeoutMilliseconds: timeout)
    case .closeSession(let id): return try decider.closeSession(id)
    case .expireSessions: return try decider.expireSessions()
    case .setFeatureLevel(let level): return try decider.setFeatureLevel(level)
    case .compareDigests: return .unchanged
    }
}

/// What the decision of one command needs; the commands are in the extensions.
struct Decider<View: MetadataView> {
    typealias Failure = View.Failure

    let view: View
    let index: UInt64
    let timeMilliseconds: UInt64

    /// The version of the rows that this command changes.
    var version: Version { Version(index) }

    func topic(_ reference: TopicReference) throws(Failure) -> Topic? {
        switch reference {
        case .name(let name): try view.topic(named: name)
        case .id(let id): try view.topic(id)
        }
    }

    /// Why the topic does not have the version that the caller expects; nil when it does or none is expected.
    func versionMismatch(_ topic: Topic, _ ifVersion: Version?) -> Refusal? {
        guard let ifVersion, ifVersion != topic.version else { return nil }
        return Refusal(.versionMismatch, "topic '\(topic.name)' has version \(topic.version), not \(ifVersion)")
    }
}

// Sessions and the feature level.
extension Decider {
    func openSession(timeoutMilliseconds timeout: UInt64) throws(Failure) -> Decision {
        let range = Limits.sessionTimeoutMillisecondsMin...Limits.sessionTimeoutMillisecondsMax
        guard range.contains(timeout) else {
            return .refused(
                .invalidRequest,
                "a session timeout of \(timeout) ms is outside of \(range.lowerBound) to \(range.upperBound) ms")
        }
        guard try view.totals().sessions < Limits.sessionsMax else {
            return .refused(.limitExceeded, "there are \(Limits.sessionsMax) sessions already, which is the limit")
        }
        let id = SessionID(index)
        let session = Session(id: id, timeoutMilliseconds: timeout, lastActiveMilliseconds: timeMilliseconds)
        return .done(changes: [.sessionOpened(session)], result: .session(id))
    }

    func closeSession(_ id: SessionID) throws(Failure) -> Decision {
        guard try view.session(id) != nil else { return .refused(.sessionExpired(id)) }
        return .done(changes: [.sessionClosed(id)], result: nil)
    }

    func expireSessions() throws(Failure) -> Decision {
        let expired = try view.sessions().filter { session in
            let (end, overflow) = session.lastActiveMilliseconds.addingReportingOverflow(session.timeoutMilliseconds)
            return !overflow && end < timeMilliseconds
        }
        return .done(changes: expired.map { .sessionClosed($0.id) }, result: nil)
    }

    /// Whoever proposes a level has made sure that every member understands it: a build that does not must not find the
    /// entry in its log, since it would refuse what the others do.
    func setFeatureLevel(_ level: UInt32) throws(Failure) -> Decision {
        let current = try view.featureLevel()
        guard level >= current else {
            return .refused(.unsupportedFeature, "the feature level is \(current) and is never lowered (to \(level))")
        }
        guard level <= Limits.featureLevelMax else {
            return .refused(
                .unsupportedFeature, "feature level \(level) is beyond \(Limits.featureLevelMax), the highest known")
        }
        guard level != current else { return .unchanged }
        return .done(changes: [.featureLevel(before: current, after: level)], result: nil)
    }
}
