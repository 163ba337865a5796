internal import MetadataModel
internal import RaftCore
internal import Replica

/// Watches: on a member, on their way, and at the client, which goes on elsewhere when it is cut off.
extension SimulatedCluster {
    private static let watchSilenceMax: UInt64 = 1_500_000

    /// A client attaches its watch to a member, or notices that nothing comes any more.
    func watch(client number: Int) {
        guard var watch = clients[number].watch else { return }
        queue.plan(in: 200_000, .watch(client: number))
        guard watch.connection == 0 || queue.now - watch.lastNews > SimulatedCluster.watchSilenceMax else { return }
        let candidates = core
        watch.target = candidates[clientGenerator.below(candidates.count)]
        watch.connection = 0
        defer { clients[number].watch = watch }
        guard !clientCuts[Int(watch.target.rawValue) - 1], let process = node(watch.target).running else { return }
        lastWatchConnection += 1
        watch.connection = lastWatchConnection
        watch.lastNews = queue.now
        watch.lastArrival = queue.now
        report.reached(.watchResumed)
        process.watchers[watch.connection] = number
        process.watches.add(
            WatchKey(connection: watch.connection, request: 1), after: watch.position, filter: WatchFilter())
    }

    /// The end of a turn: whatever watchers have not been told yet.
    func deliverWatches(_ node: SimulatedNode, _ process: SimulatedProcess) {
        guard !process.watchers.isEmpty else { return }
        while true {
            let actions = process.watches.deliver { _ in true }
            if actions.isEmpty { return }
            for action in actions { perform(action, node, process) }
        }
    }

    /// What a node does four times a second.
    func tellProgress(_ id: NodeID, _ life: UInt64) throws(Violation) {
        guard let process = process(id, life) else { return }
        try tickSnapshots(node(id), process)
        try measureDisk(node(id), process)
        guard self.process(id, life) != nil else { return }
        for action in process.watches.progress(isWritable: { _ in true }) { perform(action, node(id), process) }
        queue.plan(in: 250_000, .tellProgress(id, life: life))
    }

    private func perform(_ action: WatchAction, _ node: SimulatedNode, _ process: SimulatedProcess) {
        switch action {
        case .send(let keys, let events, let through):
            for key in keys { tell(key, process, .events(events, through: through)) }
        case .progress(let key, let through):
            tell(key, process, .progress(through))
        case .tooOld(let key, let oldest):
            report.reached(.watchTooOld)
            tell(key, process, .tooOld(oldest))
        case .readFeed(let key, let ticket, let after, let filter):
            report.reached(.watchReadsFeed)
            queue.plan(
                in: draw(&diskGenerator, 50, 2_000),
                .readFeed(node.id, life: process.life, key, ticket: ticket, after: after, filter))
        }
    }

    func readFeed(
        _ id: NodeID, _ life: UInt64, _ key: WatchKey, ticket: UInt64, after: Version, _ filter: WatchFilter
    ) throws(Violation) {
        guard let process = process(id, life) else { return }
        let node = node(id)
        let page: ChangePage
        do throws(StateMachineFailure) {
            guard
                case .changes(let found) = try node.machine.answer(
                    .changes(after: after, filter: filter, limit: Watches.eventsPerFrameMax))
            else { preconditionFailure("a query for changes was answered with something else") }
            page = found.withoutPlanted
        } catch {
            guard error.kind == .lack else { return try fails(node, error) }
            page = .notYet(current: .zero)
        }
        if let action = process.watches.caughtUp(key, ticket: ticket, with: page) { perform(action, node, process) }
        deliverWatches(node, process)
    }

    /// News of one connection arrive in the order in which they left.
    private func tell(_ key: WatchKey, _ process: SimulatedProcess, _ news: WatchNews) {
        guard let number = process.watchers[key.connection], let watch = clients[number].watch,
            watch.connection == key.connection
        else { return }
        let arrival = max(watch.lastArrival, queue.now + draw(&clientGenerator, 100, 1_500))
        clients[number].watch?.lastArrival = arrival
        queue.plan(in: arrival - queue.now, .watchTold(client: number, connection: key.connection, news))
    }

    func watchTold(_ number: Int, _ connection: UInt64, _ news: WatchNews) throws(Violation) {
        guard var watch = clients[number].watch, watch.connection == connection else { return }
        watch.lastNews = queue.now
        switch news {
        case .events(let events, let through):
            report.watchedEvents += events.count
            try judge.isTold(number, events, through: through)
            clients[number].known.learns(events)
            watch.position = max(watch.position, through)
        case .progress(let through):
            try judge.isTold(number, [], through: through)
            watch.position = max(watch.position, through)
        case .tooOld(let oldest):
            // It would read everything again; from then on it watches behind that.
            watch.position = oldest
            clients[number].known = KnownMetadata()
            watch.connection = 0
            judge.watches(number, after: oldest)
        }
        clients[number].watch = watch
    }

    /// Connections of watchers to a member are gone.
    func dropWatchers(of id: NodeID) {
        for number in clients.indices where clients[number].watch?.target == id {
            guard let connection = clients[number].watch?.connection, connection > 0 else { continue }
            clients[number].watch?.connection = 0
            node(id).process?.watchers[connection] = nil
            node(id).process?.watches.removeAll(of: connection)
        }
    }
}
