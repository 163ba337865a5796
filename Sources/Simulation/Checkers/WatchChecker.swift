package import MetadataModel

/// What watchers are told is what happened: in order, once, whole, without gaps, across broken connections, and never before
/// it has happened (pitfall: etcd 17529, 18089, 20221).
package struct WatchChecker<WatchID: Hashable> {
    private struct Watch {
        var position: Version
        var select: ([ObservedChange]) -> [ObservedChange]
    }

    /// Everything that happened, by rising version.
    private var happened: [ChangeEvent] = []
    /// The metadata have come this far somewhere. What changes nothing that clients can see has a version too.
    private var reached = Version.zero
    private var watches: [WatchID: Watch] = [:]

    package init() {}

    /// The entry at this version changed what clients can see. Every node tells so; the first one counts, and the others have
    /// to say the same.
    package mutating func happens(_ event: ChangeEvent) throws(Violation) {
        reaches(event.version)
        guard let last = happened.last?.version, event.version <= last else { return happened.append(event) }
        guard let known = happened(at: event.version), known == event else {
            throw Violation(
                rule: "watch: one history",
                detail: "version \(event.version) is told as \(event.changes), before it was "
                    + "\(happened(at: event.version)?.changes.description ?? "nothing")")
        }
    }

    /// The metadata have reached this version somewhere.
    package mutating func reaches(_ version: Version) { reached = max(reached, version) }

    /// A watch begins after `version`, or begins anew there. `select` takes out of the changes of one version those that the
    /// watcher asked for.
    package mutating func starts(
        _ watch: WatchID, after version: Version, select: @escaping ([ObservedChange]) -> [ObservedChange] = { $0 }
    ) {
        watches[watch] = Watch(position: version, select: select)
    }

    package mutating func ends(_ watch: WatchID) { watches[watch] = nil }

    /// Where the watch stands: it has been told everything up to here.
    package func position(of watch: WatchID) -> Version? { watches[watch]?.position }

    /// The watch is told of `events`, and that there is nothing else for it up to `through`.
    package mutating func delivers(
        _ events: [ChangeEvent], through: Version, to watch: WatchID
    ) throws(Violation) {
        guard let current = watches[watch] else { return }
        guard through >= current.position else {
            throw violation(watch, "order", "goes back from version \(current.position) to \(through)")
        }
        guard through <= max(reached, current.position) else {
            throw violation(watch, "future", "is at version \(through), which has not happened")
        }
        var last = current.position
        for event in events {
            guard event.version > last else {
                throw violation(watch, "order", "is told of version \(event.version) after \(last)")
            }
            last = event.version
            guard event.version <= through else {
                throw violation(watch, "order", "is told of version \(event.version) in a part that ends at \(through)")
            }
        }
        var told = events[...]
        for event in happened[place(after: current.position)...] where event.version <= through {
            let wanted = current.select(event.changes)
            guard !wanted.isEmpty else { continue }
            guard let first = told.first, first.version <= event.version else {
                throw violation(watch, "complete", "is not told of version \(event.version)")
            }
            guard first.version == event.version else {
                throw violation(watch, "invention", "is told of version \(first.version), which is none of its own")
            }
            guard first.changes == wanted else {
                throw violation(
                    watch, "atomic", "is told \(first.changes) of version \(event.version), which is \(wanted)")
            }
            told = told.dropFirst()
        }
        if let first = told.first {
            throw violation(watch, "invention", "is told of version \(first.version), which is none of its own")
        }
        watches[watch]?.position = through
    }

    /// At the end of a run, when every watch has had the time to catch up.
    package func judge(watch: WatchID, hasReached version: Version) throws(Violation) {
        guard let position = watches[watch]?.position, position < version else { return }
        throw violation(
            watch, "complete", "is at version \(position) and gets nothing more, although \(version) happened")
    }

    private func violation(_ watch: WatchID, _ rule: String, _ detail: String) -> Violation {
        Violation(rule: "watch: \(rule)", detail: "watch \(watch) \(detail)")
    }

    /// The place of the first event after `version`.
    private func place(after version: Version) -> Int {
        var low = 0
        var high = happened.count
        while low < high {
            let middle = low + (high - low) / 2
            if happened[middle].version > version { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private func happened(at version: Version) -> ChangeEvent? {
        let place = place(after: version)
        guard place > 0, happened[place - 1].version == version else { return nil }
        return happened[place - 1]
    }
}
