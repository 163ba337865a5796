import MetadataModel
import RaftCore
import Simulation

/// Tells the simulator's checkers what was seen of a real cluster. It decides nothing itself: what must hold is in the checkers,
/// where mutants and planted faults show that they find it.
struct HistoryJudge {
    /// Steps of the search for one register. A round of a minute needs a few thousand.
    private static let stepsMax = 2_000_000

    private let evidence: RoundEvidence
    /// What was called writes, by the value: `lane` and the place in the history stand for session and sequence.
    private var writes: [String: (lane: Int, number: Int)] = [:]

    init(_ evidence: RoundEvidence) {
        self.evidence = evidence
        for (number, call) in evidence.calls.enumerated() {
            switch call.action {
            case .write(_, let value), .replace(_, _, let value): writes[value] = (call.lane, number)
            case .read, .staleRead, .createTopic, .removeTopic, .readVersion: continue
            }
        }
    }

    /// Everything that was found, each rule by itself, so that one finding does not hide another.
    func findings() -> [Violation] {
        var found: [Violation] = []
        func check(_ judge: () throws(Violation) -> Void) {
            do throws(Violation) {
                try judge()
            } catch {
                found.append(error)
            }
        }
        check(judgeLinearizability)
        check(judgeNames)
        check(judgeEffects)
        check(judgeAcknowledgedValues)
        check(judgeFreshness)
        check(judgeValues)
        check(judgeWatches)
        check(judgeDigests)
        return found
    }

    // MARK: Registers and names

    private func judgeLinearizability() throws(Violation) {
        var checker = LinearizabilityChecker<String, RegisterModel>()
        for call in evidence.calls {
            let (key, operation): (String, RegisterModel.Operation)
            switch call.action {
            case .write(let register, let value): (key, operation) = (register, .write(value))
            case .replace(let register, let expected, let value):
                (key, operation) = (register, .replace(expected: expected, value))
            case .read(let register): (key, operation) = (register, .read)
            case .createTopic(let name): (key, operation) = ("topic \(name)", .write("there"))
            case .removeTopic(let name): (key, operation) = ("topic \(name)", .write(nil))
            case .staleRead, .readVersion: continue
            }
            let id = checker.invokes(operation, of: key, by: UInt64(call.lane), at: call.invoked)
            switch call.ending {
            case .done: checker.returns(id, .done, at: call.returned)
            case .value(let value, _): checker.returns(id, .value(value), at: call.returned)
            case .mismatch: checker.returns(id, .mismatch, at: call.returned)
            // A read has no effect, whatever became of its answer.
            case .failed: checker.withdraws(id)
            case .unknown: if !call.isWrite { checker.withdraws(id) }
            case .version: checker.withdraws(id)
            }
        }
        try checker.judge(stepsMax: Self.stepsMax, findsUndecided: true)
    }

    private func judgeNames() throws(Violation) {
        var checker = AcknowledgedChecker()
        for call in evidence.calls {
            switch (call.action, call.ending) {
            case (.createTopic(let name), .done):
                checker.sendsCreation(name)
                checker.acknowledgesCreation(name)
            case (.createTopic(let name), .unknown): checker.sendsCreation(name)
            case (.removeTopic(let name), .done): checker.acknowledgesRemoval(name)
            case (.removeTopic(let name), .unknown): checker.sendsRemoval(name)
            default: continue
            }
        }
        for node in evidence.nodes {
            try checker.judge(node.topics.filter { $0.hasPrefix(evidence.prefix + "-") }, on: NodeID(UInt64(node.node)))
        }
    }

    // MARK: Effects

    /// Values of registers and when they were written, as a node tells it.
    private func effects(_ node: RoundEvidence.NodeAccount) -> [(value: String, version: Version)] {
        var found: [(value: String, version: Version)] = []
        for event in node.events ?? [] {
            for case .configChanged(let entry) in event.changes
            where entry.name == Workload.key && entry.value.hasPrefix(evidence.prefix + "-") {
                found.append((entry.value, event.version))
            }
        }
        return found
    }

    /// A write happens once, at the version that its client was told.
    private func judgeEffects() throws(Violation) {
        var checker = OneEffectChecker()
        func takesEffect(_ value: String, at version: Version) throws(Violation) {
            guard let write = writes[value] else { return }
            try checker.takesEffect(
                SessionID(UInt64(write.lane)), UInt64(write.number), at: LogIndex(version.rawValue))
        }
        for call in evidence.calls {
            guard case .done(let version) = call.ending else { continue }
            switch call.action {
            case .write(_, let value), .replace(_, _, let value): try takesEffect(value, at: version)
            case .read, .staleRead, .createTopic, .removeTopic, .readVersion: continue
            }
        }
        for node in evidence.nodes {
            for effect in effects(node) { try takesEffect(effect.value, at: effect.version) }
        }
    }

    /// No node lacks a value that was acknowledged, and none has one that nobody wrote or that was reported as not written.
    private func judgeAcknowledgedValues() throws(Violation) {
        var checker = AcknowledgedChecker()
        for call in evidence.calls {
            switch call.action {
            case .write(_, let value), .replace(_, _, let value):
                switch call.ending {
                case .done:
                    checker.sendsCreation(value)
                    checker.acknowledgesCreation(value)
                case .unknown: checker.sendsCreation(value)
                case .mismatch, .failed, .value, .version: continue
                }
            case .read, .staleRead, .createTopic, .removeTopic, .readVersion: continue
            }
        }
        for node in evidence.nodes where node.events != nil {
            try checker.judge(Set(effects(node).map(\.value)), on: NodeID(UInt64(node.node)))
        }
    }

    // MARK: Reads

    /// What a linearizable read shows is at least as new as all that was acknowledged before it began.
    private func judgeFreshness() throws(Violation) {
        var checker = ReadFreshnessChecker()
        checker.commits(evidence.last)
        var acknowledged: [(at: UInt64, version: Version)] = []
        for call in evidence.calls {
            switch call.ending {
            case .done(let version), .version(let version): acknowledged.append((call.returned, version))
            case .value(_, let version): acknowledged.append((call.returned, version))
            case .mismatch, .failed, .unknown: continue
            }
        }
        acknowledged.sort { $0.at < $1.at }
        var (next, newest) = (0, evidence.base)
        for call in evidence.calls.sorted(by: { $0.invoked < $1.invoked }) {
            while next < acknowledged.count, acknowledged[next].at < call.invoked {
                newest = max(newest, acknowledged[next].version)
                next += 1
            }
            guard case .readVersion(let consistency) = call.action, case .version(let shown) = call.ending else {
                continue
            }
            // The library does not say which node answered.
            let node = NodeID(0)
            switch consistency {
            case .linearizable: try checker.serves(shown, committedBefore: newest, on: node)
            case .atLeast(let asked): try checker.serves(shown, atLeast: asked, on: node)
            case .stale: try checker.serves(shown, atLeast: .zero, on: node)
            }
        }
    }

    /// Every read, a stale one too, shows a value that was written, with the version at which it was.
    private func judgeValues() throws(Violation) {
        var checker = OneEffectChecker()
        guard let account = evidence.nodes.first(where: { $0.events != nil }) else { return }
        let written = effects(account)
        for effect in written {
            guard let write = writes[effect.value] else { continue }
            try checker.takesEffect(
                SessionID(UInt64(write.lane)), UInt64(write.number), at: LogIndex(effect.version.rawValue))
        }
        let values = Set(written.map(\.value))
        for call in evidence.calls {
            guard case .value(let value?, let version) = call.ending, version > evidence.base else { continue }
            guard let write = writes[value], values.contains(value) else {
                throw Violation(rule: "no invention", detail: "lane \(call.lane) read \(value), which nobody wrote")
            }
            try checker.takesEffect(
                SessionID(UInt64(write.lane)), UInt64(write.number), at: LogIndex(version.rawValue))
        }
    }

    // MARK: Watches and states

    /// What happened is what the nodes say, all of them the same; watchers hear all of it, once, in order, each version whole.
    private func judgeWatches() throws(Violation) {
        var checker = WatchChecker<String>()
        let accounts = evidence.nodes.filter { $0.events != nil }
        guard let first = accounts.first?.events else { return }
        for event in first { try checker.happens(event) }
        for account in accounts.dropFirst() {
            let name = "feed of node \(account.node)"
            checker.starts(name, after: evidence.base)
            // Up to the last event: nothing more happened to any of them.
            let last = max(first.last?.version ?? evidence.base, evidence.base)
            try checker.delivers(account.events ?? [], through: last, to: name)
        }
        // A watch runs a little longer than its round, and progress speaks of versions at which nothing was to be seen.
        let limit = first.last?.version ?? evidence.base
        var watches: Set<String> = []
        for delivery in evidence.deliveries {
            let through = min(delivery.through, limit)
            if delivery.isStart {
                watches.insert(delivery.watch)
                let prefix = delivery.watch == "\(evidence.prefix)-w0" ? nil : "\(evidence.prefix)-r0"
                checker.starts(delivery.watch, after: through) { changes in
                    prefix.map { Self.changes(changes, ofTopicsWith: $0) } ?? changes
                }
            } else {
                let events = delivery.events.filter { $0.version <= limit }
                guard delivery.events.isEmpty || !events.isEmpty else { continue }
                try checker.delivers(events, through: through, to: delivery.watch)
            }
        }
        for watch in watches.sorted() { try checker.judge(watch: watch, hasReached: limit) }
    }

    /// Those that a watcher with this prefix has to hear of. The configuration of a topic changes together with the topic, so
    /// its name is in the same event.
    private static func changes(_ changes: [ObservedChange], ofTopicsWith prefix: String) -> [ObservedChange] {
        var names: [TopicID: String] = [:]
        for case .topicChanged(let topic) in changes { names[topic.id] = topic.name }
        func isMeant(_ resource: ConfigResource) -> Bool {
            guard case .topic(let id) = resource else { return false }
            return names[id]?.hasPrefix(prefix) ?? false
        }
        return changes.filter { change in
            switch change {
            case .topicChanged(let topic): topic.name.hasPrefix(prefix)
            case .topicRemoved(_, let name): name.hasPrefix(prefix)
            case .partitionChanged(_, let name): name.hasPrefix(prefix)
            case .configChanged(let entry): isMeant(entry.resource)
            case .configRemoved(let resource, _): isMeant(resource)
            case .brokerChanged, .brokerRemoved: false
            }
        }
    }

    private func judgeDigests() throws(Violation) {
        var checker = DigestChecker()
        for node in evidence.nodes {
            try checker.reaches(node.digest, at: LogIndex(node.appliedIndex), on: NodeID(UInt64(node.node)))
        }
    }
}
