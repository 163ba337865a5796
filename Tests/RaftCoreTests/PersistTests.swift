import Testing

@testable import RaftCore

@Suite struct PersistTests {
    @Test("an acknowledgement waits for its write, and several writes may be under way")
    func pipeline() {
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: [makeEntry(1, 1)], commit: 0), from: 2, term: 1)
        let first = node.takeReady()
        node.receive(.append(previous: at(1, 1), entries: [makeEntry(2, 1)], commit: 2), from: 2, term: 1)
        let second = node.takeReady()
        #expect(first.persist?.sequence == 1 && second.persist?.sequence == 2)
        #expect(first.messages.isEmpty && second.messages.isEmpty)
        #expect(node.persistsInFlight == 2)
        node.persisted(1)
        let released = node.takeReady()
        #expect(released.kinds(to: 2) == [.appendAccepted(match: 1)])
        #expect(released.committed == LogIndex(1)..<LogIndex(2))
        node.persisted(2)
        let last = node.takeReady()
        #expect(last.kinds(to: 2) == [.appendAccepted(match: 2)])
        #expect(last.committed == LogIndex(2)..<LogIndex(3))
        #expect(node.takeReady().isEmpty)
    }

    @Test("a report covers every earlier write, and a repeated one has no effect")
    func reportCoversEarlier() {
        var node = makeNode()
        for index in UInt64(1)...3 {
            node.receive(
                .append(previous: at(index - 1, index == 1 ? 0 : 1), entries: [makeEntry(index, 1)], commit: 0),
                from: 2,
                term: 1)
            _ = node.takeReady()
        }
        node.persisted(3)
        node.persisted(2)
        #expect(node.syncedIndex == 3)
        #expect(
            node.takeReady().kinds(to: 2) == [1, 2, 3].map { Message.Kind.appendAccepted(match: LogIndex($0)) })
    }

    @Test("the late report of an overwritten write does not count for the entries that replaced it")
    func overwritten() {
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: makeEntries(1...5, term: 1), commit: 0), from: 2, term: 1)
        _ = node.takeReady()
        node.receive(.append(previous: at(2, 1), entries: makeEntries(3...6, term: 2), commit: 6), from: 3, term: 2)
        _ = node.takeReady()
        node.persisted(1)
        #expect(node.syncedIndex == 2)
        #expect(node.takeReady().committed == LogIndex(1)..<LogIndex(3))
        node.persisted(2)
        #expect(node.syncedIndex == 6)
        #expect(node.takeReady().committed == LogIndex(3)..<LogIndex(7))
    }

    @Test("entries that are overwritten before they were handed out are never written")
    func overwrittenEarly() {
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: makeEntries(1...5, term: 1), commit: 0), from: 2, term: 1)
        node.receive(.append(previous: .zero, entries: makeEntries(1...2, term: 2), commit: 0), from: 3, term: 2)
        let persist = node.takeReady().persist
        #expect(persist?.entries == makeEntries(1...2, term: 2))
        #expect(persist?.truncateFrom == nil)
    }

    @Test("a promise of an earlier term is not sent after the term has changed")
    func staleTerm() {
        var node = makeNode()
        node.receive(.voteRequest(last: .zero, transfer: false), from: 2, term: 1)
        _ = node.takeReady()
        node.receive(.voteRequest(last: .zero, transfer: false), from: 3, term: 2)
        _ = node.takeReady()
        node.persisted(2)
        let messages = node.takeReady().messages
        #expect(messages.map(\.to) == [3])
        #expect(messages.map(\.term) == [2])
    }

    @Test("while a disk hangs, acknowledgements of probes do not pile up")
    func bounded() {
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: [makeEntry(1, 1)], commit: 0), from: 2, term: 1)
        let sequence = node.takeReady().persist?.sequence ?? 0
        for _ in 0..<1_000 {
            node.receive(.append(previous: at(1, 1), entries: [], commit: 0), from: 2, term: 1)
            #expect(node.takeReady().messages.isEmpty)
        }
        #expect(node.held.count == 1)
        node.persisted(sequence)
        #expect(node.takeReady().kinds(to: 2) == [.appendAccepted(match: 1)])
    }

    @Test("answers to heartbeats do not wait for the disk")
    func heartbeatAnswers() {
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: [makeEntry(1, 1)], commit: 0), from: 2, term: 1)
        node.receive(.heartbeat(commit: 0, round: 4), from: 2, term: 1)
        #expect(node.takeReady().kinds(to: 2) == [.heartbeatResponse(round: 4)])
    }

    @Test("nothing to do gives an empty ready")
    func empty() {
        var node = makeNode()
        #expect(node.takeReady().status == Status(role: .follower, term: 0, leader: nil))
        #expect(node.takeReady().isEmpty)
        node.tick()
        #expect(node.takeReady().isEmpty)
    }

    @Test("each committed index is handed out once, in order, also after a restart")
    func handedOutOnce() {
        var node = makeNode(
            hardState: HardState(term: 1, vote: nil), base: at(2, 1), entries: makeEntries(3...6, term: 1), applied: 4)
        node.receive(.append(previous: at(6, 1), entries: [], commit: 5), from: 2, term: 1)
        #expect(node.takeReady().committed == LogIndex(5)..<LogIndex(6))
        node.receive(.append(previous: at(6, 1), entries: [], commit: 6), from: 2, term: 1)
        #expect(node.drain().committed == LogIndex(6)..<LogIndex(7))
        #expect(node.entries(in: LogIndex(6)..<LogIndex(7)) == [makeEntry(6, 1)])
    }
}
