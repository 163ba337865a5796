import MetadataModel
import Testing
import Wire

@testable import MetadataClient

/// The machine as an object, so that an expectation may call what changes it.
private final class SessionDriver {
    typealias Instant = ContinuousClock.Instant

    private var machine: BrokerSessionMachine

    init(follows: Bool = false) {
        machine = BrokerSessionMachine(interval: .seconds(3), follows: follows, seed: 1)
    }

    var epoch: BrokerEpoch? { machine.epoch }
    func mayLead(at now: Instant) -> Bool { machine.mayLead(at: now) }
    func step(now: Instant) -> BrokerSessionMachine.Step { machine.step(now: now) }
    func elapsed(now: Instant) -> [BrokerSessionEvent] { machine.elapsed(now: now) }
    func registered(_ epoch: BrokerEpoch) -> [BrokerSessionEvent] { machine.registered(epoch) }
    func followed(to version: Version, now: Instant) -> [BrokerSessionEvent] {
        machine.followed(to: version, now: now)
    }
    var waitsFor: Version? { machine.waitsFor }
    func close() -> [BrokerSessionEvent] { machine.close() }

    func registrationFailed(_ error: MetadataError, now: Instant) -> [BrokerSessionEvent] {
        machine.registrationFailed(error, now: now)
    }

    func heartbeatAnswered(
        _ answer: HeartbeatAnswer, epoch: BrokerEpoch, sentAt: Instant, now: Instant
    ) -> [BrokerSessionEvent] {
        machine.heartbeatAnswered(answer, epoch: epoch, sentAt: sentAt, now: now)
    }

    func heartbeatFailed(_ error: MetadataError, epoch: BrokerEpoch, now: Instant) -> [BrokerSessionEvent] {
        machine.heartbeatFailed(error, epoch: epoch, now: now)
    }
}

@Suite("BrokerSessionMachine")
struct BrokerSessionMachineTests {
    private let start = ContinuousClock().now
    private let epoch = BrokerEpoch(7)

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start.advanced(by: .seconds(seconds)) }

    private func answer(_ state: Broker.State, lease: UInt32 = 9_000, version: UInt64 = 1) -> HeartbeatAnswer {
        HeartbeatAnswer(state: state, leaseMilliseconds: lease, version: Version(version))
    }

    private func error(_ code: MetadataError.Code, _ reason: Refusal.Reason? = nil) -> MetadataError {
        MetadataError(
            CallFailure(code, .definite, "", refusal: reason.map { Refusal($0, "") }), operation: "test")
    }

    /// Registered and leading since second 0, with a lease of 9 s.
    private func leading() -> SessionDriver {
        let machine = SessionDriver()
        #expect(machine.registered(epoch) == [.registered(epoch)])
        #expect(
            machine.heartbeatAnswered(answer(.active), epoch: epoch, sentAt: at(0), now: at(0.1)) == [.unfenced])
        return machine
    }

    @Test("a broker registers first, then sends heartbeats a little before each interval")
    func rhythm() throws {
        let machine = SessionDriver()
        #expect(machine.step(now: at(0)) == .register)
        _ = machine.registered(epoch)
        #expect(machine.step(now: at(0)) == .heartbeat(epoch, timeout: .seconds(3)))
        let leader = leading()
        guard case .sleep(let until) = leader.step(now: at(0.1)) else {
            Issue.record("no pause after an answered heartbeat")
            return
        }
        #expect(until >= at(2.7) && until <= at(3))
        #expect(leader.step(now: until) == .heartbeat(epoch, timeout: .seconds(3)))
    }

    @Test("the lease counts from the sending of the last answered heartbeat, not from its answer")
    func leaseFromSending() {
        let machine = leading()
        _ = machine.heartbeatAnswered(answer(.active), epoch: epoch, sentAt: at(3), now: at(6))
        #expect(machine.mayLead(at: at(11.9)))
        #expect(!machine.mayLead(at: at(12)))
        #expect(machine.elapsed(now: at(11.9)) == [])
        #expect(machine.elapsed(now: at(12)) == [.fenced(.leaseExpired)])
        #expect(machine.elapsed(now: at(13)) == [])
    }

    @Test("a heartbeat never waits for its answer beyond the end of the lease")
    func heartbeatEndsWithLease() {
        let machine = leading()
        _ = machine.heartbeatFailed(error(.unavailable), epoch: epoch, now: at(3))
        #expect(machine.step(now: at(8)) == .heartbeat(epoch, timeout: .seconds(1)))
    }

    @Test("an answer that took longer than its lease grants nothing")
    func lateAnswer() {
        let machine = leading()
        let events = machine.heartbeatAnswered(answer(.active), epoch: epoch, sentAt: at(3), now: at(12.5))
        #expect(events == [.fenced(.leaseExpired)])
        #expect(!machine.mayLead(at: at(12.5)))
    }

    @Test("after its lease ran out a broker leads again when the cluster still takes it for active")
    func recovers() {
        let machine = leading()
        #expect(machine.elapsed(now: at(9)) == [.fenced(.leaseExpired)])
        #expect(
            machine.heartbeatAnswered(answer(.active), epoch: epoch, sentAt: at(10), now: at(10.1)) == [.unfenced])
        #expect(machine.mayLead(at: at(18.9)))
    }

    @Test("a fence by the cluster is reported once", arguments: [Broker.State.fenced, .fencing])
    func fencedByCluster(state: Broker.State) {
        let machine = leading()
        #expect(
            machine.heartbeatAnswered(answer(state), epoch: epoch, sentAt: at(3), now: at(3)) == [
                .fenced(.fencedByCluster)
            ])
        #expect(!machine.mayLead(at: at(3)))
        #expect(machine.heartbeatAnswered(answer(state), epoch: epoch, sentAt: at(6), now: at(6)) == [])
    }

    @Test("a broker that the leader does not know registers again, under a new epoch")
    func unknown() {
        let machine = leading()
        #expect(
            machine.heartbeatFailed(error(.unknownBroker), epoch: epoch, now: at(3)) == [.fenced(.unknownToCluster)])
        #expect(machine.epoch == nil)
        #expect(machine.step(now: at(3)) == .register)
        #expect(machine.registered(BrokerEpoch(9)) == [.reregistered(BrokerEpoch(9))])
        // An answer to a heartbeat of the old registration says nothing about the new one.
        #expect(machine.heartbeatAnswered(answer(.active), epoch: epoch, sentAt: at(3), now: at(4)) == [])
        #expect(!machine.mayLead(at: at(4)))
    }

    @Test("an id that an earlier run still holds is waited for; other refusals end the session")
    func registrationRefused() {
        let machine = SessionDriver()
        #expect(machine.registrationFailed(error(.refused, .brokerIDInUse), now: at(0)) == [])
        guard case .sleep = machine.step(now: at(0)) else {
            Issue.record("no pause before the next registration")
            return
        }
        #expect(machine.step(now: at(3)) == .register)
        let refusal = error(.refused, .invalidRequest)
        #expect(machine.registrationFailed(refusal, now: at(3)) == [.failed(refusal)])
        #expect(machine.step(now: at(3)) == .end)
    }

    @Test("heartbeats come at least three times in a lease")
    func shortLease() {
        let machine = leading()
        _ = machine.heartbeatAnswered(answer(.active, lease: 300), epoch: epoch, sentAt: at(3), now: at(3))
        guard case .sleep(let until) = machine.step(now: at(3)) else {
            Issue.record("no pause")
            return
        }
        #expect(until <= at(3.1))
    }

    @Test("a shutdown is reported once, ends the leadership, and a late answer from before it changes nothing")
    func shuttingDown() {
        let machine = leading()
        let answered = { (state: Broker.State, seconds: Double) in
            machine.heartbeatAnswered(self.answer(state), epoch: self.epoch, sentAt: self.at(seconds), now: self.at(6))
        }
        #expect(answered(.shuttingDown, 3) == [.shuttingDown])
        #expect(answered(.shuttingDown, 6) == [])
        #expect(answered(.active, 2) == [])
        #expect(!machine.mayLead(at: at(6)))
        #expect(answered(.fenced, 6) == [])
        #expect(answered(.active, 6) == [.unfenced], "it was fenced, and unfenced again")
    }

    @Test("a broker that follows the metadata leads only when it is as new as the leave to lead")
    func catchesUpFirst() {
        let machine = SessionDriver(follows: true)
        _ = machine.registered(epoch)
        #expect(machine.waitsFor == Version(7), "the registration itself has to be seen first")
        #expect(machine.followed(to: Version(7), now: at(0)) == [])
        #expect(machine.waitsFor == nil)
        let active = answer(.active, version: 20)
        #expect(machine.heartbeatAnswered(active, epoch: epoch, sentAt: at(0), now: at(0.1)) == [])
        #expect(!machine.mayLead(at: at(0.1)))
        #expect(machine.waitsFor == Version(20))
        #expect(machine.followed(to: Version(19), now: at(0.2)) == [])
        // A later answer extends the lease and asks for no more than the first.
        let later = answer(.active, version: 30)
        #expect(machine.heartbeatAnswered(later, epoch: epoch, sentAt: at(3), now: at(3.1)) == [])
        #expect(machine.followed(to: Version(20), now: at(4)) == [.unfenced])
        #expect(machine.mayLead(at: at(11.9)))
        #expect(!machine.mayLead(at: at(12)))
    }

    @Test("after a fence the broker waits for the metadata again, and not beyond its lease")
    func catchesUpAgain() {
        let machine = SessionDriver(follows: true)
        _ = machine.registered(epoch)
        _ = machine.followed(to: Version(50), now: at(0))
        let active = answer(.active, version: 20)
        #expect(machine.heartbeatAnswered(active, epoch: epoch, sentAt: at(0), now: at(0.1)) == [.unfenced])
        let fenced = answer(.fenced, version: 60)
        #expect(
            machine.heartbeatAnswered(fenced, epoch: epoch, sentAt: at(3), now: at(3)) == [.fenced(.fencedByCluster)])
        let again = answer(.active, version: 61)
        #expect(machine.heartbeatAnswered(again, epoch: epoch, sentAt: at(4), now: at(4)) == [])
        #expect(machine.elapsed(now: at(13)) == [], "it did not lead, so nothing is lost")
        #expect(machine.followed(to: Version(61), now: at(13)) == [])
        #expect(!machine.mayLead(at: at(13)))
    }

    @Test("a fenced broker that wants to lead asks again soon, one that does not keeps the interval")
    func unfencingIsAskedForSoon() {
        for stays in [false, true] {
            var machine = BrokerSessionMachine(interval: .seconds(3), seed: 1)
            _ = machine.registered(epoch)
            _ = machine.heartbeatAnswered(
                answer(.fenced), epoch: epoch, stayedFenced: stays, sentAt: at(0), now: at(0))
            let early = machine.step(now: at(0.25)) == .heartbeat(epoch, timeout: .seconds(3))
            #expect(early == !stays)
        }
    }

    @Test("closing ends the leadership at once")
    func close() {
        let machine = leading()
        #expect(machine.close() == [.fenced(.closed)])
        #expect(!machine.mayLead(at: at(0.2)))
        #expect(machine.close() == [])
        #expect(machine.step(now: at(1)) == .end)
    }
}
