import MetadataModel
import MetadataSchema
import NIOCore
import RaftCore
import Testing
import Wire

/// The bytes that other builds and other languages rely on. When one of these fails, the format has changed: that needs
/// a new field, case or version, not a new expectation.
@Suite("Golden bytes")
struct GoldenBytesTests {
    private let hint = LeaderHint(nodeID: 2, address: "h:1", term: 3)
    private let member = MemberAddress(nodeID: 1, clientAddress: "c:1", peerAddress: "p:1", isVoter: true)

    private let joining = Member(
        id: NodeID(4), disk: DiskID(high: 2, low: 3), peerAddress: "p:1", clientAddress: "c:1")

    private func change(_ change: MembershipChange, isForced: Bool = false) -> ClientRequest {
        .changeMembers(MembershipRequest(change, isForced: isForced))
    }

    @Test("client requests")
    func requests() throws {
        let write = WriteRequest(
            session: SessionID(9), sequence: 4, acknowledgedBelow: 2, command: [0xaa, 0xbb], timeoutMilliseconds: 100)
        let heartbeat = BrokerHeartbeat(
            broker: BrokerID(3), epoch: BrokerEpoch(17), caughtUpVersion: Version(8), wantsFence: true)
        var lastHeartbeat = heartbeat
        lastHeartbeat.wantsShutdown = true
        let read = ReadRequest(
            query: .partition(.name("t"), PartitionIndex(5)), consistency: .atLeast(Version(6)), timeoutMilliseconds: 7)
        let golden: [(ClientRequest, String)] = [
            (.hello(ClientHello(clusterID: "c", clientName: "b1")), "0000000b080112070a016312026231"),
            (.write(write), "0000001008011a0c0809100418022202aabb2864"),
            (.read(read), "000000130801220f0a0932070a030a0174100518062807"),
            (
                .watch(after: Version(6), filter: WatchFilter(brokers: [BrokerID(1)], topicPrefixes: ["t"])),
                "0000000e08012a0a080612060a0101120174"
            ),
            (.cancelWatch(requestID: 4), "0000000408013004"),
            (.heartbeat(heartbeat), "0000000c08013a080803101118082001"),
            (.heartbeat(lastHeartbeat), "0000000e08013a0a08031011180820012801"),
            (.nodeStatus, "0000000408014200"), (.members, "0000000408014a00"),
            (
                change(.add(joining, isPromoted: true)),
                "00000028080152240a220a1e08041102000000000000001903000000000000002203703a312a03633a311001"
            ),
            (change(.promote(NodeID(4))), "00000006080152021004"),
            (change(.remove(NodeID(4)), isForced: true), "000000080801520418042801"),
            (
                change(.replace(NodeID(3), with: joining)),
                "000000280801522422220803121e08041102000000000000001903000000000000002203703a312a03633a31"
            ),
            (.transferLeadership(to: NodeID(2)), "0000000608015a020802"),
            (.breakers, "000000050801a20100"),
            (.controlBreaker(BreakerControl(name: "s", action: .open)), "0000000a0801aa01050a01731002"),
            (.control(.setLogLevel("info", component: "raft")), "000000130801b2010e0a0c0a04696e666f120472616674"),
            (.control(.reload), "000000070801b201021200"),
        ]
        for (request, bytes) in golden {
            let frame = try ClientRequestFrame(id: 1, request: request).frame()
            #expect(hex(frame) == bytes, "\(request)")
        }
    }

    @Test("client answers")
    func responses() throws {
        let failure = ServiceFailure(
            code: .notLeader, detail: "d", isDefinite: true, leader: hint, retryAfterMilliseconds: 50)
        let context = FailureContext(
            category: .transient, operation: "o", cause: "c", facts: [.init("n", "v")], timestampMilliseconds: 9)
        let explained = ServiceFailure(
            code: .overloaded, detail: "d", isDefinite: true, retryAfterMilliseconds: 50, openBreaker: "s",
            context: context)
        let breaker = BreakerReading(
            name: "s", state: .open, failuresInARow: 1, retryAfterMilliseconds: 2, successes: 3, failures: 4,
            neutrals: 5, rejections: 6, openings: 7)
        let status = NodeStatus(
            clusterID: "c", nodeID: 1, role: "leader", term: 3, leader: hint, commitIndex: 10, appliedIndex: 9,
            version: Version(8), digest: 0x0102, healthy: true, detail: "", members: [member])
        let state = MemberState(
            member: joining, role: .learner, promotion: Promotion(learner: NodeID(4), replaces: NodeID(3)),
            isLeader: false, isHeard: true, match: LogIndex(8))
        let list = MemberList(
            configurationIndex: LogIndex(5), lastIndex: LogIndex(9), isChanging: true, members: [state])
        let event = ChangeEvent(version: Version(5), changes: [.brokerRemoved(BrokerID(2))])
        let answer = HeartbeatAnswer(state: .active, leaseMilliseconds: 9000, version: Version(8))
        let lastAnswer = HeartbeatAnswer(
            state: .shuttingDown, leaseMilliseconds: 9000, version: Version(8), shouldShutDown: true)
        let golden: [(ClientResponse, String)] = [
            (
                .hello(ServerHello(clusterID: "c", nodeID: 1, leader: hint, members: [member])),
                "00000024080112200a016310011a0908021203683a311803220e08011203633a311a03703a312001"
            ),
            (.write(.done(.changed(Version(300)))), "0000000708011a0308ac02"),
            (.write(.refused(Refusal(.topicExists, "x"))), "0000000b08011a0732050809120178"),
            (.read(.changes(.tooOld(oldest: Version(4))), appliedIndex: 6), "0000000a080122060a0258041006"),
            (.watchEvents([event], through: Version(7)), "0000000e08012a0a0a060805120210021007"),
            (.watchProgress(through: Version(7)), "0000000408013007"),
            (.watchTooOld(oldest: Version(7)), "0000000408013807"),
            (.heartbeat(answer), "0000000b08014207080210a8461808"),
            (.heartbeat(lastAnswer), "0000000d08014209080410a84618082001"),
            (
                .nodeStatus(status),
                "0000003f08014a3b0a016310011a066c656164657220032a0908021203683a311803300a380940084902010000000000005001620e08011203633a311a03703a312001"
            ),
            (
                .members(list),
                "0000003608015a32080510091801222a0a1e08041102000000000000001903000000000000002203703a312a03633a3110031801200330013808"
            ),
            (.membershipRefused(MembershipRefusal(.quorumAtRisk, "d")), "00000009080162050807120164"),
            (.control(NodeControlAnswer(isDone: true, detail: "d")), "0000000a0801b201050801120164"),
            (.failure(failure), "000000180801521408011201641801220908021203683a3118032832"),
            (
                .failure(explained),
                "0000002408015220080312016418012832320173" + "3a12080212016f1a016322060a016e1201762809"
            ),
            (.breakers([breaker]), "0000001e0801a201190a170a017312046f70656e1801200228033004380540064807"),
        ]
        for (response, bytes) in golden {
            #expect(hex(ClientResponseFrame(id: 1, response: response).frame()) == bytes, "\(response)")
        }
    }

    @Test("peer frames")
    func peers() throws {
        let member = Member(
            id: NodeID(1), disk: DiskID(high: 2, low: 3), peerAddress: "p:1", clientAddress: "c:1")
        let previous = LogPosition(index: LogIndex(6), term: Term(2))
        let entries = [
            Entry(term: Term(2), index: LogIndex(7), kind: .command, payload: [0xaa, 0xbb]),
            Entry(term: Term(3), index: LogIndex(8), kind: .noop, payload: []),
        ]
        let kinds: [Message.Kind] = [
            .append(previous: previous, entries: entries, commit: LogIndex(5)),
            .appendAccepted(match: LogIndex(8)), .heartbeat(commit: LogIndex(5), round: 4),
        ]
        let messages = kinds.map { Message(from: NodeID(1), to: NodeID(2), term: Term(3), kind: $0) }
        let chunk = SnapshotChunk(
            snapshotID: 4, term: Term(3), position: previous, configuration: Configuration(voters: [member]), offset: 0,
            totalBytes: 2, checksum: 0x0102_0304, bytes: [0xaa, 0xbb])
        let hello = PeerHello(
            clusterID: "c", node: NodeID(1), disk: DiskID(high: 2, low: 3), target: NodeID(2))
        var known = hello
        known.configurationIndex = LogIndex(7)
        known.peerAddress = "p:1"
        let golden: [(PeerFrame, String)] = [
            (.hello(hello), "0000001d0a1b0a0163100119020000000000000021030000000000000028024004"),
            (
                .messages(messages),
                "0000003a12380a1e0801100218034216080610021805220202032a020100320202003a02aabb0a0808011002180348080a0c0801100218035a0408051004"
            ),
            (
                .snapshotChunk(chunk),
                "0000003c1a3a080410031a040806100222230a1e08011102000000000000001903000000000000002203703a312a03633a3112010130023d040302014202aabb"
            ),
            (.snapshotProgress(SnapshotProgress(snapshotID: 4, state: .received(offset: 9))), "00000006220408041009"),
            (.snapshotProgress(SnapshotProgress(snapshotID: 4, state: .installed)), "00000006220408041a00"),
            (.notice(.condition(PeerCondition(isDiskLow: true, isUnfit: true))), "0000000852060a0408011001"),
            (.notice(.digestReport(DigestMark(index: 7, digest: 2))), "0000000f520d120b0807110200000000000000"),
            (.refusal(PeerRefusal(reason: .notAMember, detail: "d")), "000000072a050801120164"),
            (
                .hello(known),
                "000000240a220a01631001190200000000000000210300000000000000280230073a03703a314004"
            ),
        ]
        for (frame, bytes) in golden { #expect(hex(frame.frame()) == bytes, "\(frame)") }
    }

    @Test("commands")
    func commands() throws {
        let key = PartitionKey(topic: TopicID(high: 2, low: 3), index: PartitionIndex(4))
        let keyBytes = "0a120902000000000000001103000000000000001004"
        let golden: [(Command, String)] = [
            (
                .registerBroker(
                    Command.RegisterBroker(
                        id: BrokerID(1), incarnation: IncarnationID(high: 2, low: 3),
                        endpoints: [Endpoint(name: "P", host: "h", port: 9092)], rack: "r")),
                "08011224080112120902000000000000001103000000000000001a090a0150120168188447220172"
            ),
            (.unregisterBroker(id: BrokerID(1), epoch: BrokerEpoch(2)), "08011a0408011002"),
            (.fenceBroker(id: BrokerID(1), epoch: BrokerEpoch(2)), "0801220408011002"),
            (.unfenceBroker(id: BrokerID(1), epoch: BrokerEpoch(2)), "08012a0408011002"),
            (
                .createTopic(
                    Command.CreateTopic(
                        name: "t", id: TopicID(high: 2, low: 3), partitionCount: 1, replicationFactor: 2,
                        assignment: [[BrokerID(1), BrokerID(2)]], configs: [ConfigChange(name: "k", value: "v")],
                        validateOnly: true)),
                "0801322b0a01741212090200000000000000110300000000000000180120022a040a02010232060a016b1201763801"
            ),
            (
                .deleteTopic(topic: .id(TopicID(high: 2, low: 3)), ifVersion: Version(4)),
                "08013a180a1412120902000000000000001103000000000000001004"
            ),
            (
                .createPartitions(
                    Command.CreatePartitions(topic: .name("t"), totalCount: 4, ifVersion: Version(0))),
                "080142090a030a017410042000"
            ),
            (
                .alterConfigs(
                    Command.AlterConfigs(
                        resource: .topic(.name("t")), changes: [ConfigChange(name: "k", value: nil)])),
                "08014a0a0a031a017412030a016b"
            ),
            (
                .changePartitionLeader(
                    Command.ChangePartitionLeader(
                        topic: .name("t"), partition: PartitionIndex(1), leader: BrokerID(2), ifPartitionEpoch: 3)),
                "0801520b0a030a0174100118022003"
            ),
            (
                .alterPartition(
                    Command.AlterPartition(
                        broker: BrokerID(1), brokerEpoch: BrokerEpoch(2),
                        partition: PartitionKey(topic: TopicID(high: 2, low: 3), index: PartitionIndex(4)),
                        leaderEpoch: 5, partitionEpoch: 6, isr: [BrokerID(1)])),
                "08015a21080110021a120902000000000000001103000000000000002004280530063a0101"
            ),
            (.openSession(timeoutMilliseconds: 600_000), "080160c0cf24"), (.closeSession(SessionID(9)), "08016809"),
            (.expireSessions, "08017200"), (.setFeatureLevel(1), "08017801"),
            (
                .registerBroker(
                    Command.RegisterBroker(
                        id: BrokerID(1), incarnation: IncarnationID(high: 2, low: 3),
                        endpoints: [Endpoint(name: "P", host: "h", port: 9092)], rack: "r", capacity: 200,
                        tags: [BrokerTag(name: "a", value: "b")], previousEpoch: BrokerEpoch(9))),
                "08011231080112120902000000000000001103000000000000001a090a015012016818844722017228c80132060a01611201623809"
            ),
            (.unregisterBroker(id: BrokerID(1), epoch: BrokerEpoch(2), force: true), "08011a06080110021801"),
            (.beginShutdown(id: BrokerID(1), epoch: BrokerEpoch(2)), "080182010408011002"),
            (
                .startRebalance(
                    Command.StartRebalance(strategy: .balanced, origin: .request, excluded: [BrokerID(1)])),
                "0801b2010508011a0101"
            ),
            (
                .moveReplicas(
                    Command.MoveReplicas(
                        rebalance: Version(7),
                        moves: [Command.ReplicaMove(partition: key, replicas: [BrokerID(1)], partitionEpoch: 6)])),
                "0801ba01230807121f0a16\(keyBytes)12030a01011806"
            ),
            (
                .endRebalance(
                    Command.EndRebalance(rebalance: Version(7), ending: .finished, detail: "d")),
                "0801c20107080710011a0164"
            ),
            (.drainBroker(id: BrokerID(1), epoch: nil), "08018a01020801"),
            (.cancelDrain(id: BrokerID(1), epoch: BrokerEpoch(2)), "080192010408011002"),
            (
                .alterPartitions(
                    Command.AlterPartitions(
                        broker: BrokerID(1), brokerEpoch: BrokerEpoch(2),
                        reports: [
                            Command.ISRReport(partition: key, leaderEpoch: 5, partitionEpoch: 6, isr: [BrokerID(1)])
                        ])),
                "08019a0125080110021a1f0a16\(keyBytes)10051806220101"
            ),
            (
                .alterPartitions(
                    Command.AlterPartitions(
                        broker: BrokerID(1), brokerEpoch: BrokerEpoch(2),
                        reports: [
                            Command.ISRReport(
                                partition: key, leaderEpoch: 5, partitionEpoch: 6, isr: [BrokerID(1)],
                                isrEpochs: [BrokerEpoch(2)])
                        ])),
                "08019a0128080110021a220a16\(keyBytes)100518062201012a0102"
            ),
            (
                .electLeaders(Command.ElectLeaders(.unclean, partitions: [key])),
                "0801a2011a08021216\(keyBytes)"
            ),
            (
                .reassignPartitions(
                    Command.ReassignPartitions([
                        Command.Reassignment(partition: key, replicas: [BrokerID(1), BrokerID(2)]),
                        Command.Reassignment(partition: key, replicas: nil),
                    ])),
                "0801aa013a0a1e0a16\(keyBytes)12040a0201020a180a16\(keyBytes)"
            ),
            (.compareDigests, "0801c20200"),
            (.takeStep, "0801d20100"),
            (
                .noteSilence([BrokerSilence(broker: BrokerID(1), epoch: BrokerEpoch(2), milliseconds: 300)]),
                "0801ca01090a070801100218ac02"
            ),
        ]
        for (command, bytes) in golden { #expect(hex(command.schemaBytes()) == bytes, "\(command)") }
    }

    @Test("the kind of a command is read off the front of its bytes, and has a name")
    func kinds() {
        var random = RandomValues(seed: 1)
        let commands = random.commands()
        let names = commands.map { command in
            Command.kindNumber(ofEncoded: command.schemaBytes()).flatMap { Command.kindNames[$0] }
        }
        for (command, name) in zip(commands, names) { #expect(name != nil, "\(command)") }
        #expect(Set(names).count == commands.count)
        for bytes: [UInt8] in [[], [0x08], [0x08, 1], [0x08, 1, 0x80], [0x08, 0x80, 1, 0x12], [0x12, 1, 0x12]] {
            #expect(Command.kindNumber(ofEncoded: bytes) == nil, "\(bytes)")
        }
        // Of a later build.
        #expect(Command.kindNumber(ofEncoded: [0x08, 1, 0xf2, 0x7f, 0]) == 2_046)
    }
}
