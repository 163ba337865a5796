@testable import RaftCore

/// A member on its own, for tests that play everyone else by hand.
func makeNode(
    _ id: NodeID = 1, voters: [UInt64] = [1, 2, 3], learners: [UInt64] = [], options: Options = Options(),
    hardState: HardState = .initial, base: LogPosition = .zero, entries: [Entry] = [], applied: LogIndex? = nil,
    isRecovering: Bool = false, disk: DiskID = .unknown, hasJoined: Bool = false, seed: UInt64 = 1
) -> RaftNode {
    let configuration: Configuration =
        voters.isEmpty ? .empty : Cluster.configuration(voters: voters, learners: learners)
    return RaftNode(
        id: id, disk: disk, options: options,
        restored: RestoredState(
            hardState: hardState, base: base, entries: entries, applied: applied ?? base.index,
            configuration: configuration, isRecovering: isRecovering, hasJoined: hasJoined),
        seed: seed)
}

func makeEntry(_ index: UInt64, _ term: UInt64, _ text: String = "") -> Entry {
    Entry(term: Term(term), index: LogIndex(index), kind: .command, payload: Array(text.utf8))
}

func makeEntries(_ indexes: ClosedRange<UInt64>, term: UInt64) -> [Entry] { indexes.map { makeEntry($0, term) } }

/// Entries of term 1 that hold these configurations, from the first index on.
func makeEntries(_ configurations: [Configuration]) -> [Entry] {
    configurations.enumerated().map { offset, configuration in
        Entry(term: 1, index: LogIndex(UInt64(offset + 1)), kind: .configuration, payload: configuration.encoded())
    }
}

func at(_ index: UInt64, _ term: UInt64) -> LogPosition { LogPosition(index: LogIndex(index), term: Term(term)) }

extension RaftNode {
    /// Steps a message to this member and checks the invariants.
    mutating func receive(_ kind: Message.Kind, from peer: NodeID, term: Term) {
        step(Message(from: peer, to: id, term: term, kind: kind))
        checkInvariants()
    }

    /// Takes a `Ready` and syncs what it hands out, until there is nothing more; applies what is committed.
    mutating func drain() -> Ready {
        var all = Ready()
        while true {
            let ready = takeReady()
            checkInvariants()
            if ready.isEmpty { return all }
            all.status = ready.status ?? all.status
            all.persist = ready.persist ?? all.persist
            all.messages += ready.messages
            all.reads += ready.reads
            all.droppedReads += ready.droppedReads
            all.snapshotsWanted += ready.snapshotsWanted
            all.isRecovered = all.isRecovered || ready.isRecovered
            if let committed = ready.committed {
                all.committed = (all.committed?.lowerBound ?? committed.lowerBound)..<committed.upperBound
                applied(to: committed.upperBound.previous)
            }
            if let persist = ready.persist { persisted(persist.sequence) }
        }
    }

    /// Makes this member, alone in its test, the leader of the next term: its peers grant everything.
    mutating func win() {
        campaign()
        _ = drain()
        for peer in configuration.allVoters where peer != id {
            receive(.preVoteResponse(granted: true), from: peer, term: term.next)
        }
        _ = drain()
        for peer in configuration.allVoters where peer != id {
            receive(.voteResponse(granted: true), from: peer, term: term)
        }
    }

    /// Makes it a leader whose first entry is committed and known to everyone.
    mutating func lead() {
        win()
        _ = drain()
        acknowledge()
    }

    /// Every other member acknowledges everything.
    mutating func acknowledge() {
        for member in configuration.members where member.id != id {
            receive(.appendAccepted(match: lastIndex), from: member.id, term: term)
        }
        _ = drain()
    }
}

extension Ready {
    func kinds(to peer: NodeID) -> [Message.Kind] { messages.filter { $0.to == peer }.map(\.kind) }
}
