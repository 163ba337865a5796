@testable import RaftCore

/// What of a member survives a power loss.
struct Disk {
    var hardState = HardState.initial
    var base = LogPosition.zero
    /// In effect at `base`.
    var configuration: Configuration
    var entries: [Entry] = []
    /// The log was lost, and the member has not caught up since.
    var isRecovering = false

    init(configuration: Configuration) { self.configuration = configuration }

    var last: LogPosition { entries.last?.position ?? base }

    mutating func write(_ persist: Persist) {
        if let reset = persist.reset {
            base = reset
            entries = []
        }
        if let from = persist.truncateFrom {
            precondition(from > base.index, "truncation from \(from) at base \(base)")
            precondition(from <= last.index, "nothing to truncate from \(from), the disk ends at \(last)")
            entries.removeAll { $0.index >= from }
        }
        for entry in persist.entries {
            precondition(entry.index == last.index.next, "entry \(entry.position) is written after \(last)")
            entries.append(entry)
        }
        if let hardState = persist.hardState { self.hardState = hardState }
    }

    mutating func compact(to index: LogIndex, configuration: Configuration) {
        guard let entry = entries.first(where: { $0.index == index }) else { return }
        base = entry.position
        entries.removeAll { $0.index <= index }
        self.configuration = configuration
    }

    /// What a runtime does when it finds a state machine that does not fit the log: an install was cut short after the
    /// state machine was durable. The log starts anew after it.
    mutating func repair(with machine: Machine) {
        let position = machine.position
        let known = position.index == base.index ? base : entries.first { $0.index == position.index }?.position
        guard position.index < base.index || known == position else {
            base = position
            entries = []
            configuration = machine.configuration(at: position.index)
            if hardState.term < position.term { hardState = HardState(term: position.term, vote: nil) }
            return
        }
        if base.index > .zero { configuration = machine.configuration(at: base.index) }
    }

    /// The log was found damaged and is begun anew; term and vote stay.
    mutating func loseLog(configuration: Configuration) {
        base = .zero
        entries = []
        self.configuration = configuration
        isRecovering = true
    }

    func restored(applied: LogIndex) -> RestoredState {
        RestoredState(
            hardState: hardState, base: base, entries: entries, applied: applied, configuration: configuration,
            isRecovering: isRecovering)
    }
}

/// A state machine that remembers every entry.
struct Machine {
    let initial: Configuration
    /// Entry `index` is at `index - 1`.
    private(set) var entries: [Entry] = []

    init(initial: Configuration) { self.initial = initial }

    var applied: LogIndex { LogIndex(UInt64(entries.count)) }

    var position: LogPosition { entries.last?.position ?? .zero }

    mutating func apply(_ entry: Entry) {
        precondition(entry.index == applied.next, "entry \(entry.position) is applied after \(applied)")
        entries.append(entry)
    }

    mutating func forget(after index: LogIndex) {
        if index < applied { entries.removeLast(entries.count - Int(index.rawValue)) }
    }

    /// The configuration as of `index`.
    func configuration(at index: LogIndex) -> Configuration {
        let last = entries.last { $0.index <= index && $0.kind == .configuration }
        return last.flatMap { RaftNode.decodedConfiguration($0) } ?? initial
    }
}
