internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

/// Requests whose answers nobody waits for: copies that come late, and bursts of writes.
extension SimulatedCluster {
    /// Connections from here on are of nobody any more.
    private static let forgottenConnections: UInt64 = 1 << 42

    /// The network keeps a copy of a request, which arrives when its client has long had the answer.
    func mayCopy(_ intent: WriteIntent, to target: NodeID) {
        guard intent.session != nil, plan.strikes(.lateRequests) else { return }
        report.happened(.lateRequests)
        let latest = plan.draw(.lateRequests, below: 3) == 0 ? 3_000_000 : 300_000
        queue.plan(in: UInt64(plan.draw(.lateRequests, 10_000, latest)), .forgottenRequest(intent, to: target))
    }

    /// Somebody writes as fast as he can to a member that believes that it leads.
    ///
    /// - Parameter among: these only.
    /// - Returns: false when there is none.
    func burst(among ids: [NodeID]) -> Bool {
        guard let leader = ids.first(where: { node($0).running?.replica.isLeader == true }) else { return false }
        let count = plan.draw(.burst, 5, plan.draw(.burst, below: 3) == 0 ? 150 : 40)
        trace.line(queue.now, "\(count) writes at once to node \(leader)")
        var delay = 0
        for number in 0..<count {
            let command = Command.alterConfigs(
                .init(resource: .cluster, changes: [ConfigChange(name: "user.burst", value: "\(queue.now).\(number)")]))
            // Some that nobody understands.
            let bytes = number % 16 == 5 ? [0xFF, 0xFF, 0xFF] : command.schemaBytes()
            let intent = WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: bytes)
            if number % 8 == 0 { delay += plan.draw(.burst, 50, 3_000) }
            queue.plan(in: UInt64(delay), .forgottenRequest(intent, to: leader))
        }
        return true
    }

    func forgottenRequest(_ intent: WriteIntent, _ target: NodeID) throws(Violation) {
        guard !clientCuts[Int(target.rawValue) - 1], let process = node(target).running else { return }
        lastForgotten += 1
        let token = RequestToken(connection: SimulatedCluster.forgottenConnections, request: lastForgotten)
        try turn(target, process.life) { $0.write(intent, token: token) }
    }
}
