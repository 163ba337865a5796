import MetadataModel
import RaftCore
import Testing

@testable import Replica

@Suite("Room on the disk")
struct DiskRoomTests {
    @Test("it is low below the low mark, and until the high mark is reached")
    func marks() {
        var room = DiskRoom(lowBytes: 100, highBytes: 200)
        let seen = [150, 100, 99, 150, 199, 200, 150].map { (free: UInt64) in
            room.measured(freeBytes: free)
            return room.isLow
        }
        #expect(seen == [false, false, true, true, true, false, false])
    }

    @Test("marks of zero are never crossed")
    func off() {
        var room = DiskRoom(lowBytes: 0, highBytes: 0)
        room.measured(freeBytes: 0)
        #expect(!room.isLow)
    }
}

@Suite("A replica whose disk is nearly full")
struct FullDiskTests {
    private let token = RequestToken(connection: 3, request: 4)
    private let options = ReplicaOptions(diskLowBytes: 100, diskHighBytes: 200)

    private func reply(_ command: Command, _ member: inout OfThree) -> [Effect] {
        member.seen = []
        member.replica.write(member.intent(command), token: token)
        member.turn()
        return member.seen.filter { if case .replyWrite = $0 { true } else { false } }
    }

    private let create = Command.createTopic(
        .init(name: "t", id: TopicID(high: 1, low: 1), partitionCount: 1, replicationFactor: 1))

    @Test("what makes the state larger is refused, the rest goes on, and it ends by itself")
    func marks() {
        var member = OfThree(options: options)
        member.lead()
        member.others(PeerCondition(isDiskLow: true, isUnfit: false))
        member.replica.diskMeasured(freeBytes: 99)
        member.turn()
        #expect(member.seen.contains(.protection(.diskLow(freeBytes: 99))))
        #expect(reply(create, &member) == [.replyWrite(token, .diskFull)])
        #expect(reply(.deleteTopic(topic: .name("t"), ifVersion: nil), &member) == [])
        #expect(reply(.openSession(timeoutMilliseconds: 5_000), &member) == [])
        #expect(reply(.fenceBroker(id: BrokerID(1), epoch: BrokerEpoch(1)), &member) == [])
        #expect(member.replica.openWrites == 3, "they are in the log")
        member.replica.diskMeasured(freeBytes: 150)
        #expect(reply(create, &member) == [.replyWrite(token, .diskFull)])
        member.replica.diskMeasured(freeBytes: 200)
        #expect(reply(create, &member) == [])
    }

    @Test("a leader hands over to a member with room, and keeps leading when there is none")
    func handsOver() {
        func asksToTakeOver(
            _ condition: PeerCondition, after trouble: (inout Replica) -> Void = { $0.diskMeasured(freeBytes: 1) }
        ) -> Bool {
            var member = OfThree(options: options)
            member.lead()
            member.others(condition)
            trouble(&member.replica)
            member.turn()
            member.tick()
            return member.seen.contains {
                if case .send(let messages) = $0 { messages.contains { $0.kind == .timeoutNow } } else { false }
            }
        }
        #expect(asksToTakeOver(PeerCondition(isDiskLow: false, isUnfit: false)))
        #expect(!asksToTakeOver(PeerCondition(isDiskLow: true, isUnfit: false)))
        #expect(!asksToTakeOver(PeerCondition(isDiskLow: false, isUnfit: true)))
        let sound = PeerCondition(isDiskLow: false, isUnfit: false)
        let appliesNothing = asksToTakeOver(sound) { $0.applyingChanged(isSuspended: true) }
        #expect(appliesNothing)
        let appliesAgain = asksToTakeOver(sound) { replica in
            for isSuspended in [true, false] { replica.applyingChanged(isSuspended: isSuspended) }
        }
        #expect(!appliesAgain)
    }

    @Test("commands that make the state larger are told from those that do not")
    func growth() {
        func alter(_ value: String?) -> Command {
            .alterConfigs(.init(resource: .cluster, changes: [ConfigChange(name: "user.key", value: value)]))
        }
        #expect(create.growsState)
        #expect(alter("x").growsState)
        #expect(!alter(nil).growsState)
        #expect(!Command.expireSessions.growsState)
    }
}
