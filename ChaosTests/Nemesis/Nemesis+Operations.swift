import Foundation
import MetadataClient
import MetadataModel
import RaftCore

/// What operators do, and what brokers do, as part of the trouble.
extension Nemesis {
    func transfer(_ record: inout FaultRecord) async throws {
        let leader = try await self.leader()
        let others = members.filter { $0 != leader }
        let target = others[draw(below: others.count)]
        record.nodes = [leader, target]
        begins(&record)
        let refusal = try await client.transferLeadership(to: NodeID(UInt64(target)), timeout: .seconds(5))
        ends(&record)
        guard refusal == nil else {
            // Under another fault the target may be in no state to lead: refused with a reason is an answer.
            record.evidence = "refused: \(refusal.map { "\($0)" } ?? "")"
            return
        }
        record.evidence = "node \(leader) led, node \(target) leads"
    }

    func changeMembers(_ lasts: Duration, _ record: inout FaultRecord) async throws {
        let newcomer = members.count + 1
        record.nodes = [newcomer]
        try await cluster.prepareToJoin(newcomer)
        try await restart(newcomer)
        begins(&record)
        let address = await cluster.endpoint(of: newcomer).description
        try await metactl(["members", "add", address, "--wait", "--timeout", "20s"])
        let grown = try await client.members(timeout: .seconds(10)).members.count
        await last(lasts)
        try await metactl(["members", "remove", "\(newcomer)"])
        let shrunk = try await client.members(timeout: .seconds(10)).members.count
        ends(&record)
        if await cluster.processID(of: newcomer) != nil { try await cluster.kill(newcomer) }
        record.evidence = "node \(newcomer) came and went: \(grown) members, then \(shrunk)"
        guard grown == members.count + 1, shrunk == members.count else {
            throw FaultFailure(description: record.evidence)
        }
    }

    /// Under other faults a command may have to be given again, as its operator would.
    private func metactl(_ arguments: [String]) async throws {
        let endpoints = await cluster.endpoints
        var errors = ""
        for _ in 1...5 {
            let result = try await onOwnThread { try LocalCluster.metactl(arguments, endpoints: endpoints) }
            guard result.status != 0 else { return }
            errors = result.errors
            await last(.milliseconds(500))
        }
        throw FaultFailure(description: "metactl \(arguments.joined(separator: " ")) failed: \(errors)")
    }

    func silenceBrokers(_ lasts: Duration, _ record: inout FaultRecord) async throws {
        guard let brokers else { throw FaultFailure(description: "there are no brokers") }
        begins(&record)
        try brokers.order("kill 1-2")
        try await waitUntil(.fenced, BrokerID(1), BrokerID(2))
        await last(lasts)
        try brokers.order("revive 1-2")
        try await waitUntil(.active, BrokerID(1), BrokerID(2))
        ends(&record)
        record.evidence = "brokers 1 and 2 were fenced, and are active again"
    }

    private func waitUntil(_ state: Broker.State, _ ids: BrokerID...) async throws {
        let deadline = ContinuousClock.now + .seconds(40)
        while true {
            // Nobody may be there to ask while another fault strikes.
            let states = try? await client.brokers(timeout: .seconds(2)).filter { ids.contains($0.id) }.map(\.state)
            if let states, states.count == ids.count, states.allSatisfy({ $0 == state }) { return }
            guard ContinuousClock.now < deadline else {
                throw FaultFailure(description: "brokers \(ids) did not become \(state): \(states ?? [])")
            }
            await last(.milliseconds(50))
        }
    }
}
