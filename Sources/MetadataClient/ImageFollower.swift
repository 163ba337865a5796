import MetadataModel

/// Builds an image from lists and changes, and says when it may be shown. Pure: rows and events come from outside.
///
/// Lists are read page by page while the metadata moves on, so together they show no version that ever was. The changes
/// after the version at which listing began repair that: when they have been applied up to a version that was current
/// after the last page was read, every row is as it was at the version reached, and stays so.
struct ImageFollower: Sendable {
    enum State: Sendable, Hashable {
        /// Rows are being listed; all of them are of `from` or later. Exit: `settling`.
        case listing(from: Version)
        /// Changes are being applied to what was listed. Exits: `following` at that version, `broken`.
        case settling(until: Version)
        /// Each change leads to the image of the next version. Exit: `broken`.
        case following
        /// Something did not fit. Exit: `listing`, by `begin`.
        case broken(String)
    }

    private(set) var state = State.broken("nothing was read yet")
    private(set) var image = MetadataImage()

    // MARK: Listing

    /// Everything is read anew, from a state that has reached this version.
    mutating func begin(at version: Version) {
        image = MetadataImage()
        state = .listing(from: version)
    }

    mutating func listed(brokers: [Broker]) { for broker in brokers { image.set(broker) } }

    mutating func listed(topics: [Topic]) { for topic in topics { image.set(topic) } }

    /// A partition of a topic that was not listed is of one that was created since, or is gone: changes tell.
    mutating func listed(partitions: [Partition]) { for partition in partitions { image.set(partition) } }

    /// All lists were read before this version was current.
    mutating func listedAll(by end: Version) {
        guard case .listing(let from) = state else { preconditionFailure("the lists ended while \(state)") }
        precondition(end >= from, "the lists of version \(from) ended at \(end)")
        image.version = from
        state = .settling(until: end)
        settle()
    }

    // MARK: Changes

    /// Whether the image may be shown.
    var isWhole: Bool { state == .following }

    /// Where the changes have to begin; nil while that is not known.
    var watchAfter: Version? {
        switch state {
        case .settling, .following: image.version
        case .listing, .broken: nil
        }
    }

    /// Answers whether the watch may go on: if not, `state` says why and everything has to be listed again.
    mutating func apply(_ event: WatchEvent, witness: MetadataImage.Witness? = nil) -> Bool {
        switch state {
        case .listing, .broken: preconditionFailure("a change came while \(state)")
        case .settling, .following: break
        }
        switch event {
        case .changes(let changes):
            guard changes.version > image.version else { return true }
            let fits = image.apply(changes, witness: witness)
            // While settling: of a topic that was deleted before its partitions were listed.
            if !fits, state == .following { return fail("version \(changes.version) does not fit the one before it") }
        case .progress(let version):
            image.version = max(image.version, version)
        case .restart(let oldest):
            return fail("changes before version \(oldest) are not known to the cluster any more")
        }
        return settle()
    }

    @discardableResult
    private mutating func settle() -> Bool {
        guard case .settling(let end) = state, image.version >= end else { return true }
        if let topic = image.incompleteTopic {
            return fail("topic \(topic.name) has not all of its \(topic.partitionCount) partitions")
        }
        state = .following
        return true
    }

    private mutating func fail(_ reason: String) -> Bool {
        state = .broken(reason)
        return false
    }
}
