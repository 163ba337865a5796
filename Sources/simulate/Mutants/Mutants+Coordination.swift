import Simulation

extension Mutant {
    private static let rebalance = "MetadataModel/Decide+Rebalance.swift"

    static let coordination = [
        Mutant(
            "silent-broker-lives", "a broker whose heartbeats have stopped is never fenced", under: [.lostBroker],
            .expression(
                "Replica/Replica+Brokers.swift", "for (broker, epoch) in ⟦liveness.expired(now: now)⟧ {", "[]")),
        Mutant(
            "second-rebalance", "a rebalance begins while another one runs", under: [.coordinator],
            .expression(rebalance, "if let running = try latestRebalance(), ⟦running.isRunning⟧ {", "false")),
        Mutant(
            "steps-of-an-ended-rebalance", "a step that was planned for a rebalance is done after its end",
            under: [.coordinator],
            .expression(
                rebalance, "if let id = command.rebalance, let refusal = try ⟦refusal(ofRunning: id).refusal⟧ {", "nil")
        ),
        Mutant(
            "steps-off-nobody", "a step without a rebalance takes replicas off brokers that do not drain",
            under: [.coordinator],
            .expression(
                rebalance, "if command.rebalance == nil, try ⟦!leavesDrainingBroker(before, target)⟧ {", "false")),
    ]
}
