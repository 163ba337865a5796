import MetadataModel
import MetadataSchema
import NIOCore
import Synchronization
import Wire

@testable import MetadataClient

/// Drives a `ClientMachine` by hand: three nodes on paper, a clock that is moved, answers that are written down.
final class MachineHarness {
    /// What the handlers of calls were told.
    final class Results: Sendable {
        let writes = Mutex<[CallID: Result<CommandResult, CallFailure>]>([:])
        let reads = Mutex<[CallID: Result<QueryResult, CallFailure>]>([:])
        let heartbeats = Mutex<[CallID: Result<HeartbeatAnswer, CallFailure>]>([:])
        let statuses = Mutex<[CallID: Result<NodeStatus, CallFailure>]>([:])
        let breakers = Mutex<[CallID: Result<[BreakerReading], CallFailure>]>([:])
        let closed = Mutex(0)
    }

    struct Sent {
        var connection: ConnectionID
        var frame: ClientRequestFrame

        var node: Int { connection.node.index + 1 }
    }

    var machine: ClientMachine
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    let results = Results()
    /// Dials that were asked for and not reported on yet.
    var dials: [(connection: ConnectionID, node: Int)] = []
    /// Frames that were sent and not looked at yet.
    var sent: [Sent] = []
    var disconnected: [ConnectionID] = []
    var delivered: [WatchEvent] = []
    var finishedWatches: [CallFailure?] = []
    /// The watch buffer's answer.
    var watchHasRoom = true
    /// Status requests are answered while time passes: by the first node as this leader, who the members are by `members`.
    var probesSayLeader: Int?
    var members = [1, 2, 3]
    private var lastID: CallID = 0

    init(nodes: Int = 3, seed: UInt64 = 1, _ change: (inout MetadataClient.Options) -> Void = { _ in }) {
        var options = MetadataClient.Options(endpoints: (1...nodes).map { Self.endpoint($0) })
        change(&options)
        machine = ClientMachine(options: options, seed: seed)
    }

    static func endpoint(_ node: Int) -> MetadataClient.Endpoint { .init(host: "10.0.0.\(node)", port: 9_092) }

    static func hint(_ node: Int, term: UInt64) -> LeaderHint {
        LeaderHint(nodeID: UInt64(node), address: endpoint(node).description, term: term)
    }

    static func members(_ nodes: [Int]) -> [MemberAddress] {
        nodes.map {
            MemberAddress(
                nodeID: UInt64($0), clientAddress: endpoint($0).description, peerAddress: "10.0.0.\($0):9093",
                isVoter: true)
        }
    }

    static func status(_ node: Int, leader: Int?, term: UInt64) -> NodeStatus {
        NodeStatus(
            clusterID: "c", nodeID: UInt64(node), role: leader == node ? "leader" : "follower", term: term,
            leader: leader.map { hint($0, term: term) }, commitIndex: 1, appliedIndex: 1, version: Version(1),
            digest: 0, healthy: true, detail: "", members: members([1, 2, 3]))
    }

    // MARK: Callers

    func write(_ name: String = "t", timeout: TimeAmount = .seconds(5)) -> CallID {
        lastID += 1
        let id = lastID
        let command = Command.deleteTopic(topic: .name(name), ifVersion: nil)
        submit(
            .write(id, command.schemaBytes(), deadline: now + timeout) { [results] result in
                results.writes.withLock { $0[id] = result }
            })
        return id
    }

    func read(
        _ consistency: ReadConsistency = .linearizable, timeout: TimeAmount = .seconds(5)
    ) -> CallID {
        lastID += 1
        let id = lastID
        submit(
            .read(id, .summary, consistency, deadline: now + timeout) { [results] result in
                results.reads.withLock { $0[id] = result }
            })
        return id
    }

    func heartbeat(timeout: TimeAmount = .seconds(5)) -> CallID {
        lastID += 1
        let id = lastID
        let heartbeat = BrokerHeartbeat(
            broker: BrokerID(1), epoch: BrokerEpoch(1), caughtUpVersion: .zero, wantsFence: false)
        submit(
            .heartbeat(id, heartbeat, deadline: now + timeout) { [results] result in
                results.heartbeats.withLock { $0[id] = result }
            })
        return id
    }

    func nodeStatus(of node: Int, timeout: TimeAmount = .seconds(5)) -> CallID {
        lastID += 1
        let id = lastID
        submit(
            .status(id, Self.endpoint(node), deadline: now + timeout) { [results] result in
                results.statuses.withLock { $0[id] = result }
            })
        return id
    }

    func watch(after version: Version) -> CallID {
        lastID += 1
        submit(.watch(lastID, after: version, WatchFilter(), WatchBuffer(resume: {}, cancel: {})))
        return lastID
    }

    func close() {
        submit(.close { [results] in results.closed.withLock { $0 += 1 } })
    }

    func submit(_ input: ClientInput) {
        machine.submitted(input, now: now)
        settle()
    }

    func outcome(_ id: CallID) -> Result<CommandResult, CallFailure>? { results.writes.withLock { $0[id] } }
    func readOutcome(_ id: CallID) -> Result<QueryResult, CallFailure>? { results.reads.withLock { $0[id] } }
    func failure(_ id: CallID) -> CallFailure? {
        guard case .failure(let failure)? = outcome(id) else { return nil }
        return failure
    }

    // MARK: The world

    func advance(_ time: TimeAmount, step: TimeAmount = .milliseconds(10)) {
        let end = now + time
        while now < end {
            now = min(end, now + step)
            machine.tick(now: now)
            settle()
            guard let leader = probesSayLeader else { continue }
            while let probe = take(where: { $0 == .nodeStatus }) {
                var status = Self.status(probe.node, leader: leader, term: 1)
                status.members = Self.members(members)
                answer(probe, .nodeStatus(status))
            }
        }
    }

    /// The dialled node accepts and answers hello. Fails the test's expectations elsewhere when there was no dial.
    @discardableResult
    func accept(
        _ node: Int, leader: Int?, term: UInt64 = 1, members: [Int] = [1, 2, 3], clusterID: String = "c"
    ) -> ConnectionID? {
        guard let connection = acceptSilently(node) else { return nil }
        guard let hello = take(from: node, where: { if case .hello = $0 { true } else { false } }) else { return nil }
        answer(
            hello,
            .hello(
                ServerHello(
                    clusterID: clusterID, nodeID: UInt64(node), leader: leader.map { Self.hint($0, term: term) },
                    members: Self.members(members))))
        return connection
    }

    /// A node says that it leads, when it is dialled or asked next.
    func elect(_ node: Int, term: UInt64) {
        for _ in 0..<100 {
            if dials.contains(where: { $0.node == node }) {
                accept(node, leader: node, term: term)
                return
            }
            if let probe = take(from: node, where: { $0 == .nodeStatus }) {
                answer(probe, .nodeStatus(Self.status(node, leader: node, term: term)))
                return
            }
            advance(.milliseconds(10))
        }
    }

    /// The socket is connected; hello is not answered.
    func acceptSilently(_ node: Int) -> ConnectionID? {
        guard let index = dials.firstIndex(where: { $0.node == node }) else { return nil }
        let connection = dials.remove(at: index).connection
        machine.connected(connection, now: now)
        settle()
        return connection
    }

    func refuseDial(_ node: Int) {
        guard let index = dials.firstIndex(where: { $0.node == node }) else { return }
        let connection = dials.remove(at: index).connection
        machine.connectionLost(connection, reason: "refused", now: now)
        settle()
    }

    func lose(_ connection: ConnectionID) {
        machine.connectionLost(connection, reason: "reset", now: now)
        settle()
    }

    func answer(_ request: Sent, _ response: ClientResponse) {
        machine.received(request.connection, ClientResponseFrame(id: request.frame.id, response: response), now: now)
        settle()
    }

    func fail(
        _ request: Sent, _ code: ServiceFailure.Code, isDefinite: Bool = true, leader: LeaderHint? = nil
    ) {
        answer(
            request, .failure(ServiceFailure(code: code, detail: code.rawValue, isDefinite: isDefinite, leader: leader))
        )
    }

    /// Takes the oldest request out of `sent` that fits.
    func take(from node: Int? = nil, where fits: (ClientRequest) -> Bool = { _ in true }) -> Sent? {
        guard let index = sent.firstIndex(where: { (node == nil || $0.node == node) && fits($0.frame.request) })
        else { return nil }
        return sent.remove(at: index)
    }

    /// Takes the oldest write of a session.
    func takeWrite(from node: Int? = nil) -> Sent? {
        take(from: node) { $0.write?.session != nil }
    }

    func takeAllWrites(from node: Int) -> [Sent] {
        var all: [Sent] = []
        while let next = takeWrite(from: node) { all.append(next) }
        return all
    }

    func takeRead(from node: Int? = nil) -> Sent? {
        take(from: node) { if case .read = $0 { true } else { false } }
    }

    /// The client has found node `leader` and opened session 100 there, and nothing is under way.
    func bringUp(leader: Int = 1, term: UInt64 = 1, session: UInt64 = 100) -> ConnectionID? {
        let first = write("first")
        if let dialled = dials.first?.node, dialled != leader { accept(dialled, leader: leader, term: term) }
        let connection = accept(leader, leader: leader, term: term)
        openSession(session)
        if let request = takeWrite(from: leader) { answer(request, .write(.done(.changed(Version(1))))) }
        guard case .success? = outcome(first) else { return nil }
        return connection
    }

    func openSession(_ session: UInt64) {
        let request = take { $0.write.map { $0.session == nil } ?? false }
        if let request { answer(request, .write(.done(.session(SessionID(session))))) }
    }

    /// Does what the machine says, on paper.
    private func settle() {
        while true {
            machine.dispatch(now: now)
            let actions = machine.takeActions()
            if actions.isEmpty { return }
            for action in actions {
                switch action {
                case .connect(let connection, _): dials.append((connection, connection.node.index + 1))
                case .send(let connection, let frame): sent.append(Sent(connection: connection, frame: frame))
                case .disconnect(let connection): disconnected.append(connection)
                case .answerWrite(let handler, let result): handler(result)
                case .answerRead(let handler, let result): handler(result)
                case .answerHeartbeat(let handler, let result): handler(result)
                case .answerStatus(let handler, let result): handler(result)
                case .answerControl(let handler, let result): handler(result)
                case .answerMembership(let handler, let result): handler(result)
                case .answerBreakers(let handler, let result): handler(result)
                case .deliver(let id, _, let events):
                    delivered += events
                    if !watchHasRoom { machine.watchFilled(id) }
                case .finishWatch(_, let failure): finishedWatches.append(failure)
                case .tell(let body): body()
                case .log: break
                }
            }
        }
    }
}

extension ClientRequest {
    var write: WriteRequest? {
        guard case .write(let write) = self else { return nil }
        return write
    }
}
