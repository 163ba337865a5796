package import RaftCore

/// What a member does with what it finds on its disk, before it takes part in anything. `metad` and the simulator both ask here.
///
/// The database may lag, then the log replays; it may be ahead after a crash between the installation of a snapshot and the
/// reset of the log, then the log begins anew behind it.
package enum MemberStart: Sendable {
    /// Log and state machine fit: start with this.
    case fits(RestoredState)
    /// The log has to be replaced first: write this, and start with the state once it is synced.
    case beginsAnew(Persist, RestoredState)
    /// Nothing that this member could do alone makes the two fit.
    case refused(Refusal)

    package enum Refusal: Hashable, Sendable, CustomStringConvertible {
        /// The log begins after `base`, and the state machine ends before it.
        case entriesAreMissing(base: LogIndex, applied: LogIndex)
        /// The entries that named the members are gone from the log, and the state machine knows none.
        case membersAreUnknown
        /// The log contradicts itself; the text says where.
        case unsound(String)

        package var description: String {
            switch self {
            case .entriesAreMissing(let base, let applied):
                "the log begins after entry \(base) and the database ends at \(applied): entries are missing, as if the "
                    + "database had been replaced or deleted"
            case .membersAreUnknown:
                "the database knows no members, and the log no longer says who they are"
            case .unsound(let problem):
                problem
            }
        }
    }

    /// - Parameters:
    ///   - configuration: the last one that the state machine applied; nil before the first.
    package init(
        hardState: HardState, base: LogPosition, entries: [Entry], applied: LogPosition, configuration: Configuration?
    ) {
        let fit = LogFit(base: base, entries: entries, applied: applied)
        var restored = RestoredState(
            hardState: hardState, base: base, entries: entries, applied: applied.index, configuration: .empty)
        switch fit {
        case .entriesAreMissing:
            self = .refused(.entriesAreMissing(base: base.index, applied: applied.index))
            return
        case .fits:
            break
        case .mustBeginAnew:
            restored.base = applied
            restored.entries = []
            restored.hardState.raise(to: applied.term)
        }
        if restored.base.index > .zero {
            // What the state machine knows is at least as new as the base; entries after the base say what came later.
            guard let configuration else {
                self = .refused(.membersAreUnknown)
                return
            }
            restored.configuration = configuration
        }
        if let problem = restored.problem() {
            self = .refused(.unsound(problem))
        } else if case .mustBeginAnew = fit {
            self = .beginsAnew(Persist(sequence: 0, reset: applied), restored)
        } else {
            self = .fits(restored)
        }
    }

    /// What formatting writes into an empty log: who the first members are, the same on each of them, so that membership lives
    /// in the log from the beginning.
    package static func firstWrite(of members: [Member]) -> Persist {
        precondition(!members.isEmpty, "a cluster without members is never formatted")
        let entry = Entry(
            term: Term(1), index: LogIndex(1), kind: .configuration,
            payload: Configuration(voters: members).encoded())
        return Persist(sequence: 0, entries: [entry], hardState: HardState(term: entry.term, vote: nil))
    }
}
