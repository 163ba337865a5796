internal import MetadataModel
internal import RaftCore
internal import Replica

/// Connections between members, and what travels over them.
extension SimulatedCluster {
    /// Sends the messages of a turn, one batch to each peer. Where there is no connection they are dropped, as in the shipped links.
    func flush(_ outgoing: Outgoing, from node: SimulatedNode, _ process: SimulatedProcess) {
        for (peer, messages) in outgoing.batches {
            guard let connection = network[node.id, peer].connection else { continue }
            transmit(messages, connection)
        }
    }

    private func transmit(_ messages: [Message], _ connection: Connection) {
        guard !network[connection.from, connection.to].isCut else {
            report.reached(.messageMetACut)
            return
        }
        guard !plan.strikes(.lostMessages) else { return report.happened(.lostMessages) }
        let isReordered = plan.strikes(.reorderedMessages)
        if isReordered { report.happened(.reorderedMessages) }
        if plan.kinds.contains(.slowMessages) { report.happened(.slowMessages) }
        let arrival = network.arrival(
            connection.from, connection.to, now: queue.now, delayMax: plan.delayMicrosecondsMax,
            keepsOrder: !isReordered)
        queue.plan(in: arrival - queue.now, .deliver(messages, over: connection))
        if plan.strikes(.doubledMessages) {
            report.happened(.doubledMessages)
            let later = UInt64(plan.draw(.doubledMessages, 0, plan.delayMicrosecondsMax * 4))
            queue.plan(in: arrival - queue.now + later, .deliver(messages, over: connection))
        }
    }

    func deliver(_ messages: [Message], _ connection: Connection) throws(Violation) {
        // What is under way when a connection breaks is lost with it.
        guard let (process, admission) = try listener(connection) else { return }
        let now = node(connection.to).clock.milliseconds(at: queue.now)
        let received = plan.usesWire ? try WireRoundTrip.messages(messages) : messages
        let term = process.replica.core.hardState.term
        judge.receives(received, on: connection.to, in: term, at: queue.now)
        try turn(connection.to, process.life) { $0.receive(received, as: admission, now: now) }
        // Of the replica itself: `process.status` lags while the end of a turn is put off.
        let leader = process.withReplica { $0.status.leader }
        // Who is asked to take over by what follows in the same messages has heard its leader all the same.
        let isSuccessor = received.contains { $0.kind == .timeoutNow && $0.term == term }
        let heard = received.contains { message in
            if case .heartbeat = message.kind { message.term == term } else { false }
        }
        if leader == connection.from || isSuccessor && heard { judge.hears(connection.to, at: queue.now) }
    }

    /// Who takes in what comes over a connection, and as what it takes the sender. Asked each time, since members change: a
    /// sender that is not listened to any more is told so.
    func listener(
        _ connection: Connection
    ) throws(Violation) -> (process: SimulatedProcess, admission: PeerAdmission)? {
        let path = network[connection.from, connection.to]
        guard path.connection == connection, let caller = path.caller, let process = node(connection.to).running else {
            return nil
        }
        let admission = process.withReplica { $0.admission(of: caller) }
        switch admission {
        case .member, .newcomer:
            return (process, admission)
        case .notAMember, .anotherDisk:
            refuse(connection.from, at: connection.to, admission)
            try closed(connection.to, process.life, connection.from, refused: false)
            return nil
        }
    }

    /// A notice is sent once; whether it arrives is of no great matter.
    func send(_ notice: PeerNotice, from id: NodeID, to peer: NodeID) {
        guard let connection = network[id, peer].connection, !network[id, peer].isCut else { return }
        guard !plan.strikes(.lostMessages) else { return report.happened(.lostMessages) }
        let arrival = network.arrival(
            id, peer, now: queue.now, delayMax: plan.delayMicrosecondsMax, keepsOrder: true)
        queue.plan(in: arrival - queue.now, .notify(notice, over: connection))
    }

    func notify(_ notice: PeerNotice, _ connection: Connection) throws(Violation) {
        // What another disk says of itself is not that of the known one.
        guard let (process, admission) = try listener(connection), admission == .member else { return }
        try turn(connection.to, process.life) { $0.notified(notice, from: connection.from) }
    }

    // MARK: Whom to call

    /// Calls whom the replica wants to call, and nobody else. Links that end do so with the turn: what is said to them last
    /// still leaves.
    func reconcile(_ node: SimulatedNode, _ process: SimulatedProcess) {
        let wanted = process.replica.peersToCall(process.callers)
        let known = process.peers
        process.peers = wanted
        process.formerPeers = known.map(\.id).filter { id in !wanted.contains { $0.id == id } }
        for member in wanted {
            guard let before = known.first(where: { $0.id == member.id }) else {
                planDial(node.id, member.id, in: network.draw(100, 3_000))
                continue
            }
            // As shipped: it is somebody else, or elsewhere.
            if before.disk != member.disk || before.peerAddress != member.peerAddress {
                breakConnection(node.id, member.id)
            }
        }
    }

    /// Ends the links to whom this member has stopped to call.
    func hangUpOnFormerPeers(_ node: SimulatedNode, _ process: SimulatedProcess) {
        for peer in process.formerPeers {
            network[node.id, peer].dialAt = nil
            hangUp(node.id, peer)
        }
        process.formerPeers = []
    }

    /// One member ends its connection to another, which notices.
    private func hangUp(_ from: NodeID, _ to: NodeID) {
        guard network[from, to].connection != nil else { return }
        network[from, to].connection = nil
        guard let listener = node(to).process else { return }
        queue.plan(in: network.draw(100, 2_000), .closed(at: to, life: listener.life, peer: from, refused: false))
    }

    // MARK: Dialling

    /// The sooner of two plans counts.
    func planDial(_ from: NodeID, _ to: NodeID, in delay: UInt64) {
        let time = queue.now + delay
        if let planned = network[from, to].dialAt, planned <= time { return }
        network[from, to].dialAt = time
        queue.plan(in: delay, .dial(from: from, to: to))
    }

    func dial(_ from: NodeID, _ to: NodeID) throws(Violation) {
        guard network[from, to].dialAt == queue.now else { return }
        network[from, to].dialAt = nil
        guard network[from, to].connection == nil, let dialler = node(from).process,
            let wanted = dialler.peers.first(where: { $0.id == to })
        else { return }
        let peer = node(to)
        let pause = network[from, to].pauseMicroseconds
        network[from, to].pauseMicroseconds = min(pause * 2, SimulatedNetwork.pauseMax)
        // A stopped process cannot dial; a kernel without power, behind a cut, or before a process that does not say hello,
        // gives no answer.
        guard let process = node(from).running, network.isOpen(from, to), peer.hasPower,
            peer.running != nil || peer.isStopped
        else { return planDial(from, to, in: pause + SimulatedNetwork.pauseMax) }
        // It is tried where the configuration has it, and where it said that it is.
        let addresses = [wanted.peerAddress] + process.callers.filter { $0.id == to }.map(\.peerAddress)
        guard let listener = peer.running, addresses.contains(peer.peerAddress) else {
            planDial(from, to, in: pause)
            report.reached(.dialRefused)
            queue.plan(in: network.draw(100, 1_000), .closed(at: from, life: dialler.life, peer: to, refused: true))
            return
        }
        let caller = node(from).introduction(process)
        let admission = listener.replica.admission(of: caller)
        switch admission {
        case .member:
            try turn(to, listener.life) {
                $0.introduced(from, disk: caller.disk, featureLevelMax: Limits.featureLevelMax)
            }
        case .newcomer: report.reached(.newcomerLetIn)
        case .notAMember, .anotherDisk: return refuse(from, at: to, admission)
        }
        listener.callers.removeAll { $0.id == from }
        listener.callers.append(caller)
        reconcile(peer, listener)
        // Called by the peer, there is no reason to wait any longer.
        if network[to, from].connection == nil { planDial(to, from, in: network.draw(100, 1_000)) }
        switch process.replica.admission(of: peer.introduction(listener)) {
        case .member, .newcomer:
            network.connect(caller, to: to)
            try resumeTransfer(to: to, node(from), process)
        // The answer does not fit: the connection is closed again.
        case .notAMember, .anotherDisk: planDial(from, to, in: pause)
        }
    }

    /// A member does not listen to another, and says so.
    private func refuse(_ from: NodeID, at to: NodeID, _ admission: PeerAdmission) {
        network[from, to].connection = nil
        report.reached(admission == .anotherDisk ? .otherDiskRefused : .strangerRefused)
        trace.line(queue.now, "node \(to) does not listen to node \(from): \(admission)")
        guard let process = node(from).process else { return }
        queue.plan(in: network.draw(100, 1_000), .refused(at: from, life: process.life, by: to))
    }

    /// As shipped: whoever is not listened to forgets that the other called, and tries again much later.
    func refused(_ id: NodeID, _ life: UInt64, by peer: NodeID) {
        guard let process = process(id, life) else { return }
        process.callers.removeAll { $0.id == peer }
        reconcile(node(id), process)
        network[id, peer].pauseMicroseconds = SimulatedNetwork.pauseMin
        planDial(id, peer, in: SimulatedNetwork.refusalPause)
    }

    func closed(_ id: NodeID, _ life: UInt64, _ peer: NodeID, refused: Bool) throws(Violation) {
        guard process(id, life) != nil else { return }
        judge.losesLeader(id)
        try turn(id, life) { $0.connectionClosed(to: peer, refused: refused) }
    }

    /// The connection from one member to another is gone, and the first notices.
    func breakConnection(_ from: NodeID, _ to: NodeID) {
        guard network[from, to].connection != nil else { return }
        network[from, to].connection = nil
        network[from, to].pauseMicroseconds = SimulatedNetwork.pauseMin
        guard let process = node(from).process else { return }
        queue.plan(
            in: network.draw(100, 2_000), .closed(at: from, life: process.life, peer: to, refused: false))
        planDial(from, to, in: network.draw(200, 2_500))
    }

    /// A direction is cut, or whole again. Whoever sends into a cut notices when nothing was acknowledged for a while.
    func setCut(_ from: NodeID, _ to: NodeID, _ isCut: Bool) {
        guard network.setCut(from, to, isCut), isCut else { return }
        queue.plan(in: SimulatedNetwork.silenceMax, .silent(from: from, to: to, cut: network[from, to].cuts))
    }

    func silent(_ from: NodeID, _ to: NodeID, _ cut: UInt64) throws(Violation) {
        guard network[from, to].isCut && network[from, to].cuts == cut || !node(to).hasPower else { return }
        breakConnection(from, to)
    }
}

extension SimulatedNode {
    /// What a process on this machine says of itself.
    fileprivate func introduction(_ process: SimulatedProcess) -> PeerCaller {
        PeerCaller(
            id: id, disk: disk, configurationIndex: process.replica.knownConfigurationIndex, peerAddress: peerAddress)
    }
}

extension Replica {
    fileprivate func admission(of caller: PeerCaller) -> PeerAdmission {
        admission(of: caller.id, disk: caller.disk, configurationIndex: caller.configurationIndex)
    }
}
