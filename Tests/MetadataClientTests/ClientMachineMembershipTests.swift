import NIOCore
import RaftCore
import Synchronization
import Testing
import Wire

@testable import MetadataClient

@Suite("ClientMachine: changes of members")
struct ClientMachineMembershipTests {
    private final class Answers: Sendable {
        private let box = Mutex<Result<MembershipAnswer, CallFailure>?>(nil)
        var value: Result<MembershipAnswer, CallFailure>? { box.withLock { $0 } }
        func set(_ value: Result<MembershipAnswer, CallFailure>) { box.withLock { $0 = value } }
    }

    private let unknown = MembershipRefusal(.unknownMember, "node 3 is no member")

    private func remove(_ harness: MachineHarness) -> Answers {
        let answers = Answers()
        let request = MembershipRequest(.remove(NodeID(3)), isForced: false)
        harness.submit(
            .membership(1_000, .change(request), deadline: harness.now + .seconds(5)) { answers.set($0) })
        return answers
    }

    private func take(_ harness: MachineHarness, from node: Int) -> MachineHarness.Sent? {
        harness.take(from: node) { if case .changeMembers = $0 { true } else { false } }
    }

    @Test("a removal whose answer was lost, and whose member is then unknown, was made")
    func lostAnswer() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let answers = remove(harness)
        #expect(take(harness, from: 1) != nil)
        harness.lose(connection)
        harness.elect(2, term: 2)
        let again = try #require(take(harness, from: 2))
        harness.answer(again, .membershipRefused(unknown))
        #expect(answers.value == .success(.done))
    }

    @Test("a member that was unknown from the start is refused")
    func unknownAtFirst() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let answers = remove(harness)
        harness.answer(try #require(take(harness, from: 1)), .membershipRefused(unknown))
        #expect(answers.value == .success(.refused(unknown)))
    }

    @Test("a leader that has committed nothing yet is asked again in a moment")
    func notReady() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let answers = remove(harness)
        let early = MembershipRefusal(.leaderNotReady, "no entry of term 1 is committed yet")
        harness.answer(try #require(take(harness, from: 1)), .membershipRefused(early))
        #expect(answers.value == nil)
        harness.advance(.milliseconds(100))
        let list = MemberList(
            configurationIndex: LogIndex(7), lastIndex: LogIndex(7), isChanging: false, members: [])
        harness.answer(try #require(take(harness, from: 1)), .members(list))
        #expect(answers.value == .success(.members(list)))
    }

    @Test("a change that a node may have begun, and did not answer in time, has an unknown outcome (pitfall 32)")
    func expires() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let answers = remove(harness)
        _ = try #require(take(harness, from: 1))
        harness.advance(.seconds(6), step: .milliseconds(50))
        guard case .failure(let failure)? = answers.value else { return #expect(Bool(false), "no failure") }
        #expect(failure.outcome == .indefinite)
    }
}
