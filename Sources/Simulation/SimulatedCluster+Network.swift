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
        guard network[connection.from, connection.to].connection == connection,
            let process = node(connection.to).running
        else { return }
        let now = node(connection.to).clock.milliseconds(at: queue.now)
        let received = plan.usesWire ? try WireRoundTrip.messages(messages) : messages
        judge.receives(received, on: connection.to, in: process.replica.core.hardState.term, at: queue.now)
        try turn(connection.to, process.life) { $0.receive(received, now: now) }
        // Of the replica itself: `process.status` lags while the end of a turn is put off.
        if process.replica.status.leader == connection.from { judge.hears(connection.to, at: queue.now) }
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
        guard network[connection.from, connection.to].connection == connection,
            let process = node(connection.to).running
        else { return }
        try turn(connection.to, process.life) { $0.notified(notice, from: connection.from) }
    }

    // MARK: Dialling

    func planDial(_ from: NodeID, _ to: NodeID, in delay: UInt64) {
        guard !network[from, to].dialIsPlanned else { return }
        network[from, to].dialIsPlanned = true
        queue.plan(in: delay, .dial(from: from, to: to))
    }

    func dial(_ from: NodeID, _ to: NodeID) throws(Violation) {
        network[from, to].dialIsPlanned = false
        guard network[from, to].connection == nil, let dialler = node(from).process else { return }
        let peer = node(to)
        let pause = network[from, to].pauseMicroseconds
        network[from, to].pauseMicroseconds = min(pause * 2, SimulatedNetwork.pauseMax)
        // A stopped process cannot dial; a kernel without power, behind a cut, or before a process that does not say hello,
        // gives no answer.
        guard let process = node(from).running, network.isOpen(from, to), peer.hasPower,
            peer.running != nil || peer.isStopped
        else { return planDial(from, to, in: pause + SimulatedNetwork.pauseMax) }
        guard let other = peer.running else {
            planDial(from, to, in: pause)
            report.reached(.dialRefused)
            queue.plan(in: network.draw(100, 1_000), .closed(at: from, life: dialler.life, peer: to, refused: true))
            return
        }
        _ = network.connect(from, to)
        try turn(from, process.life) { $0.introduced(to, disk: peer.disk) }
        let disk = node(from).disk
        try turn(to, other.life) { $0.introduced(from, disk: disk) }
        // Called by the peer, there is no reason to wait any longer.
        if network[to, from].connection == nil { planDial(to, from, in: network.draw(100, 1_000)) }
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
