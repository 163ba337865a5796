/// How the replicas of a cluster are to be spread.
public enum BalanceStrategy: String, Hashable, Sendable, CaseIterable {
    /// As few moves as are needed until replicas and preferred leaders are even by capacity.
    case balanced
    /// Only what must move: off brokers that drain, and out of racks that hold two replicas while another has none.
    case sticky
    /// Anew: partition by partition to one broker after the other, whatever is where now.
    case roundRobin = "round-robin"
    /// Anew: the partitions of each topic in as many ranges as there are brokers.
    case range
}

/// The latest rebalance of the cluster: under way, or how it ended. What it has moved shows in the partitions; what is left
/// is planned again by whoever leads.
///
/// It is a configuration row of the cluster that only its own commands write (docs/adr/0010): so it is in the digest, the
/// snapshots and the change feed like any other row. The row's value is `text`.
public struct Rebalance: Hashable, Sendable {
    /// The version at which it began; names it.
    public var id: Version
    /// Who asked for it.
    public var origin: Origin
    /// How replicas are to be spread.
    public var strategy: BalanceStrategy
    /// Brokers that are given nothing; by id.
    public var excluded: [BrokerID]
    /// Log time of its begin.
    public var startedMilliseconds: UInt64
    /// Whether it is under way.
    public var state: State

    /// Who asked for a rebalance.
    public enum Origin: String, Hashable, Sendable, CaseIterable {
        /// An operator.
        case request
        /// The coordinator, because the cluster was uneven.
        case automatic
    }

    /// How a rebalance ends.
    public enum Ending: String, Hashable, Sendable, CaseIterable {
        /// Everything is where the plan wants it, or says why not.
        case finished
        /// Somebody did not want it any more.
        case cancelled
        /// It made no progress; the detail says why.
        case abandoned
    }

    /// Exits of `running`: `ended`. Exits of `ended`: `running`, as another rebalance.
    public enum State: Hashable, Sendable {
        case running
        /// Milliseconds are log time.
        case ended(Ending, milliseconds: UInt64, detail: String)
    }

    /// Takes the fields as they are.
    public init(
        id: Version, origin: Origin, strategy: BalanceStrategy, excluded: [BrokerID], startedMilliseconds: UInt64,
        state: State
    ) {
        self.id = id
        self.origin = origin
        self.strategy = strategy
        self.excluded = excluded
        self.startedMilliseconds = startedMilliseconds
        self.state = state
    }

    /// Of the cluster's configuration row. `alterConfigs` refuses it like every name that it does not know.
    public static let configName = "coordinator.rebalance"

    /// While the cluster's configuration has this key, no replica is moved by the leader itself, whatever runs or drains. Its
    /// value says why. One of the free keys, so that every build takes it; in the log, so that it outlives a leader.
    public static let pauseConfigName = "user.rebalance.pause"

    /// Moves are made and planned for it.
    public var isRunning: Bool { state == .running }
}

extension Rebalance {
    /// `id=7 origin=request strategy=balanced excluded=3,4 started=1000 state=finished ended=2000 detail=…`; the part from
    /// `ended` on is missing while it runs. The detail comes last, since it may hold anything.
    public var text: String {
        var text =
            "id=\(id) origin=\(origin.rawValue) strategy=\(strategy.rawValue) "
            + "excluded=\(excluded.map(\.description).joined(separator: ",")) started=\(startedMilliseconds) state="
        switch state {
        case .running: text += "running"
        case .ended(let ending, let milliseconds, let detail):
            text += "\(ending.rawValue) ended=\(milliseconds) detail=\(detail)"
        }
        return text
    }

    /// Nil when this is not the text of a rebalance.
    public init?(text: String) {
        let parts = text.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: false)
        func value(_ position: Int, _ name: String) -> Substring? {
            guard position < parts.count, parts[position].utf8.starts(with: "\(name)=".utf8) else { return nil }
            return parts[position].dropFirst(name.count + 1)
        }
        guard parts.count == 6 || parts.count == 8, let id = value(0, "id").flatMap({ UInt64($0) }),
            let origin = value(1, "origin").flatMap({ Origin(rawValue: String($0)) }),
            let strategy = value(2, "strategy").flatMap({ BalanceStrategy(rawValue: String($0)) }),
            let excludedText = value(3, "excluded"), let started = value(4, "started").flatMap({ UInt64($0) }),
            let state = value(5, "state")
        else { return nil }
        var excluded: [BrokerID] = []
        for item in excludedText.split(separator: ",", omittingEmptySubsequences: !excludedText.contains(",")) {
            guard let number = Int32(item) else { return nil }
            excluded.append(BrokerID(number))
        }
        self.init(
            id: Version(id), origin: origin, strategy: strategy, excluded: excluded, startedMilliseconds: started,
            state: .running)
        guard parts.count == 8 else {
            if state == "running" { return }
            return nil
        }
        guard let ending = Ending(rawValue: String(state)), let ended = value(6, "ended").flatMap({ UInt64($0) }),
            let detail = value(7, "detail")
        else { return nil }
        self.state = .ended(ending, milliseconds: ended, detail: String(detail))
    }

    /// The rebalance in this row; nil when it is another row.
    public init?(_ entry: ConfigEntry) {
        guard entry.resource == .cluster, entry.name == Rebalance.configName else { return nil }
        self.init(text: entry.value)
    }
}
