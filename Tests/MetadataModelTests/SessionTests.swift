import MetadataModel
import Testing

@Suite("sessions")
struct SessionTests {
    private func opened(timeout: UInt64 = 10_000) throws -> (Model, SessionID) {
        var model = Model()
        model.addBrokers(1...3)
        guard case .done(.session(let id)) = model.apply(.openSession(timeoutMilliseconds: timeout)) else {
            throw NoSession()
        }
        return (model, id)
    }

    private struct NoSession: Error {}

    @Test("a session's id is the index of the entry that opened it")
    func identity() throws {
        let (model, id) = try opened()
        #expect(id == SessionID(model.index))
    }

    @Test("a write that is tried three times has one effect and the same answer (pitfall: duplicate proposals)")
    func retries() throws {
        var (model, session) = try opened()
        let create = Command.createTopic(.sample("orders", id: 1))
        let first = model.applyEntry(create, session: session, sequence: 0)
        let version = model.machine.version
        model.apply(.deleteTopic(topic: .name("orders"), ifVersion: nil))
        let digest = model.storage.digest()
        for _ in 0..<3 {
            let retry = model.applyEntry(create, session: session, sequence: 0)
            #expect(retry == Applied(outcome: first.outcome, event: nil, wasReplay: true))
        }
        #expect(first.outcome.refusal == nil)
        #expect(model.storage.digest() == digest)
        #expect(model.machine.version > version)
        #expect(model.storage.topic(named: "orders") == nil)
    }

    @Test("a refusal is remembered like any other answer")
    func refusedRetries() throws {
        var (model, session) = try opened()
        let delete = Command.deleteTopic(topic: .name("orders"), ifVersion: nil)
        let first = model.applyEntry(delete, session: session, sequence: 0)
        model.createTopic("orders", id: 1)
        let retry = model.applyEntry(delete, session: session, sequence: 0)
        #expect(first.outcome.refusal?.reason == .topicNotFound)
        #expect(retry == Applied(outcome: first.outcome, event: nil, wasReplay: true))
        #expect(model.storage.topic(named: "orders") != nil)
    }

    @Test("of a command for many partitions the reasons are remembered and answered again, without their sentences")
    func partitionRetries() throws {
        var (model, session) = try opened()
        let gone = PartitionKey(topic: TopicID(9), index: PartitionIndex(0))
        let elect = Command.electLeaders(Command.ElectLeaders(.preferred, partitions: [gone]))
        let first = model.applyEntry(elect, session: session, sequence: 0)
        let retry = model.applyEntry(elect, session: session, sequence: 0)
        #expect(first.outcome.results?.map(\.summary) == ["topic_not_found"])
        #expect(first.outcome != retry.outcome)
        #expect(retry.outcome == .done(.partitions([.refused(Refusal(.topicNotFound, ""))])))
        #expect(retry.wasReplay)
    }

    @Test("a session that keeps too much is given nothing more to keep until answers are acknowledged")
    func heavySession() throws {
        var (model, session) = try opened()
        model.createTopic("orders", id: 1)
        let keys = (0..<Limits.partitionsPerCommandMax).map {
            PartitionKey(topic: TopicID(9), index: PartitionIndex(Int32($0)))
        }
        let heavy = Command.electLeaders(Command.ElectLeaders(.preferred, partitions: keys))
        var sequence: UInt64 = 0
        while model.applyEntry(heavy, session: session, sequence: sequence).outcome.refusal == nil { sequence += 1 }
        #expect((100..<Limits.sessionWindow).contains(sequence))
        let delete = Command.deleteTopic(topic: .name("orders"), ifVersion: nil)
        let declined = model.applyEntry(delete, session: session, sequence: sequence + 1)
        #expect(declined.outcome.refusal?.reason == .limitExceeded)
        #expect(model.storage.topic(named: "orders") != nil)
        // It is the answer to this write, also when a copy of it comes later; only the next one is done.
        let copy = model.applyEntry(delete, session: session, sequence: sequence + 1)
        #expect(copy == Applied(outcome: declined.outcome, event: nil, wasReplay: true))
        // What it keeps is counted alike by a node that has read it from its database.
        var restored = SessionTable(restoring: model.machine.sessions.states())
        let next = sequence + 2
        let full = restored.admit(session, sequence: next, acknowledgedBelow: 0, timeMilliseconds: 0)
        guard case .decline = full else {
            Issue.record("\(full)")
            return
        }
        #expect(restored.admit(session, sequence: next, acknowledgedBelow: 9, timeMilliseconds: 0) == .execute)
        let last = model.applyEntry(delete, session: session, sequence: sequence + 2, acknowledgedBelow: sequence)
        #expect(last.outcome.refusal == nil)
        #expect(model.machine.digest == model.storage.digest() &+ model.machine.sessions.digest)
    }

    @Test("an entry that cannot be understood is refused, remembered and answered alike when retried")
    func unknownRetries() throws {
        var (model, session) = try opened()
        let first = model.applyEntry(nil, session: session, sequence: 0)
        #expect(first.outcome.refusal?.reason == .unknownCommand)
        let retry = model.applyEntry(nil, session: session, sequence: 0)
        #expect(retry == Applied(outcome: first.outcome, event: nil, wasReplay: true))
    }

    @Test("writes may come in any order within the window, each is done once")
    func anyOrder() throws {
        var (model, session) = try opened()
        var generator = SeededGenerator(seed: 5)
        let order = (UInt64(0)..<100).shuffled(using: &generator)
        var answers: [UInt64: CommandOutcome] = [:]
        for sequence in order {
            let command = Command.configure(.cluster, "user.key", "\(sequence)")
            let applied = model.applyEntry(command, session: session, sequence: sequence)
            #expect(!applied.wasReplay)
            answers[sequence] = applied.outcome
        }
        let state = try #require(model.machine.sessions.state(session))
        #expect(
            state.results
                == (UInt64(0)..<100).compactMap { sequence in
                    answers[sequence].map { SessionResult(sequence: sequence, outcome: $0) }
                })
        for sequence in order {
            let retry = model.applyEntry(.expireSessions, session: session, sequence: sequence)
            #expect(retry.wasReplay && retry.outcome == answers[sequence])
        }
    }

    @Test("the window holds 1024 writes; the next is refused until answers are acknowledged")
    func window() throws {
        var (model, session) = try opened()
        let last = Limits.sessionWindow - 1
        #expect(model.applyEntry(.expireSessions, session: session, sequence: last).outcome.refusal == nil)
        let beyond = model.applyEntry(.expireSessions, session: session, sequence: last + 1)
        #expect(beyond.outcome.refusal?.reason == .sequenceOutOfWindow)
        let acknowledged = model.applyEntry(
            .expireSessions, session: session, sequence: last + 1, acknowledgedBelow: 1)
        #expect(acknowledged.outcome.refusal == nil && !acknowledged.wasReplay)
    }

    @Test("a full window holds as many results, and all of them go when they are acknowledged")
    func fullWindow() throws {
        var (model, session) = try opened()
        for sequence in 0..<Limits.sessionWindow {
            model.applyEntry(.expireSessions, session: session, sequence: sequence)
        }
        #expect(model.machine.sessions.state(session)?.results.count == Int(Limits.sessionWindow))
        model.checkInvariants()
        model.applyEntry(
            .expireSessions, session: session, sequence: Limits.sessionWindow, acknowledgedBelow: Limits.sessionWindow)
        #expect(model.machine.sessions.state(session)?.results.map(\.sequence) == [Limits.sessionWindow])
        model.checkInvariants()
    }

    @Test("an acknowledged write is not done again: a late duplicate is refused")
    func acknowledged() throws {
        var (model, session) = try opened()
        let create = Command.createTopic(.sample("orders", id: 1))
        model.applyEntry(create, session: session, sequence: 3)
        model.applyEntry(.expireSessions, session: session, sequence: 4, acknowledgedBelow: 4)
        model.apply(.deleteTopic(topic: .name("orders"), ifVersion: nil))
        let late = model.applyEntry(create, session: session, sequence: 3)
        #expect(late.outcome.refusal?.reason == .sequenceOutOfWindow)
        #expect(model.storage.topic(named: "orders") == nil)
    }

    @Test("acknowledgements never go back, and a write cannot acknowledge itself")
    func acknowledgements() throws {
        var (model, session) = try opened()
        model.applyEntry(.expireSessions, session: session, sequence: 9, acknowledgedBelow: 9)
        model.applyEntry(.expireSessions, session: session, sequence: 10, acknowledgedBelow: 2)
        #expect(model.machine.sessions.state(session)?.acknowledgedBelow == 9)
        for above in [12, UInt64.max] {
            let wrong = model.applyEntry(.expireSessions, session: session, sequence: 11, acknowledgedBelow: above)
            #expect(wrong.outcome.refusal?.reason == .sequenceOutOfWindow)
        }
        #expect(model.machine.sessions.state(session)?.acknowledgedBelow == 9)
        let highest = model.applyEntry(
            .expireSessions, session: session, sequence: .max, acknowledgedBelow: .max)
        #expect(highest.outcome.refusal == nil)
    }

    @Test("a write on a session that is not known is never done (pitfall: ambiguous outcomes)")
    func unknownSession() throws {
        var (model, session) = try opened()
        model.apply(.closeSession(session))
        for id in [session, SessionID(999)] {
            let write = model.applyEntry(.createTopic(.sample("orders", id: 1)), session: id, sequence: 0)
            #expect(write.outcome.refusal?.reason == .sessionExpired)
        }
        #expect(model.storage.topic(named: "orders") == nil)
    }

    @Test("a session expires by log time only, one millisecond after its timeout")
    func expiry() throws {
        var (model, session) = try opened(timeout: 10_000)
        model.timeMilliseconds += 10_000
        model.apply(.expireSessions)
        #expect(model.machine.sessions.session(session) != nil)
        model.timeMilliseconds += 1
        model.apply(nil)
        #expect(model.machine.sessions.session(session) != nil, "only a command in the log ends a session")
        model.apply(.expireSessions)
        #expect(model.machine.sessions.session(session) == nil)
        model.checkInvariants()
    }

    @Test("a write keeps its session alive, a retry and a refused one do too")
    func refresh() throws {
        var (model, session) = try opened(timeout: 10_000)
        for (sequence, acknowledged) in [(0, 0), (0, 0), (5_000, 0)] {
            model.timeMilliseconds += 9_000
            model.applyEntry(
                .expireSessions, session: session, sequence: UInt64(sequence), acknowledgedBelow: UInt64(acknowledged))
            #expect(model.machine.sessions.session(session)?.lastActiveMilliseconds == model.timeMilliseconds)
        }
    }

    @Test("log time does not go back, whatever a new leader's clock says")
    func logTime() throws {
        var (model, session) = try opened(timeout: 10_000)
        model.timeMilliseconds = 50_000
        model.applyEntry(.expireSessions, session: session, sequence: 0)
        model.timeMilliseconds = 10
        model.applyEntry(.expireSessions, session: session, sequence: 1)
        #expect(model.machine.logTimeMilliseconds == 50_000)
        #expect(model.machine.sessions.session(session)?.lastActiveMilliseconds == 50_000)
    }

    @Test("a session may close itself")
    func closesItself() throws {
        var (model, session) = try opened()
        let close = model.applyEntry(.closeSession(session), session: session, sequence: 0)
        #expect(close.outcome.refusal == nil)
        #expect(model.machine.sessions.count == 0)
        model.checkInvariants()
        let retry = model.applyEntry(.closeSession(session), session: session, sequence: 0)
        #expect(retry.outcome.refusal?.reason == .sessionExpired)
    }

    @Test("sessions move the digest and not the version")
    func version() throws {
        var (model, session) = try opened()
        let version = model.machine.version
        var digests: Set<UInt64> = [model.machine.digest]
        model.applyEntry(.expireSessions, session: session, sequence: 0)
        digests.insert(model.machine.digest)
        model.timeMilliseconds += 1
        model.applyEntry(.expireSessions, session: session, sequence: 0)
        digests.insert(model.machine.digest)
        model.apply(.closeSession(session))
        digests.insert(model.machine.digest)
        #expect(digests.count == 4)
        #expect(model.machine.version == version)
        #expect(model.machine.digest == model.storage.digest())
    }

    @Test("touched sessions are handed out once, by id, and ended ones only as ended")
    func touched() {
        var model = Model()
        for _ in 0..<3 { model.apply(.openSession(timeoutMilliseconds: 10_000)) }
        var changes = model.machine.takeSessionChanges()
        #expect(changes.touched.map(\.session.id) == [SessionID(1), SessionID(2), SessionID(3)])
        #expect(changes.removed == [])
        model.applyEntry(.expireSessions, session: SessionID(3), sequence: 0)
        model.applyEntry(.expireSessions, session: SessionID(2), sequence: 0)
        model.apply(.closeSession(SessionID(2)))
        model.apply(.openSession(timeoutMilliseconds: 10_000))
        model.apply(.closeSession(SessionID(1)))
        changes = model.machine.takeSessionChanges()
        #expect(changes.touched.map(\.session.id) == [SessionID(3), SessionID(7)])
        #expect(changes.removed == [SessionID(1), SessionID(2)])
        changes = model.machine.takeSessionChanges()
        #expect(changes.touched == [] && changes.removed == [])
    }
}
