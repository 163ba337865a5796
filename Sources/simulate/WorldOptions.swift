import ArgumentParser
import Simulation

/// What a simulated world is like, besides its seed.
struct WorldOptions: ParsableArguments {
    @Option(help: "Members of the cluster, 1 to \(SimulationOptions.nodesMax).")
    var nodes = 3

    @Option(help: "The state machine: \(SimulationOptions.Store.allCases.map(\.rawValue).joined(separator: ", ")).")
    var store = SimulationOptions.Store.memory

    @Option(help: "Simulated milliseconds with faults.")
    var milliseconds = SimulationOptions().faultyMilliseconds

    @Option(help: "Kinds of faults that may strike, with commas between them, or \"none\". All by default.")
    var faults: FaultKinds?

    @Option(help: "Kinds of faults that take part in each run; others as they are drawn.")
    var always = FaultKinds()

    @Option(help: "Instead of a drawn world a calm one with about this many writes a second: for measuring.")
    var load: Int?

    func validate() throws {
        guard load.map({ (1...10_000).contains($0) }) ?? true else {
            throw ValidationError("--load takes 1 to 10000")
        }
        guard (1...SimulationOptions.nodesMax).contains(nodes) else {
            throw ValidationError("--nodes takes 1 to \(SimulationOptions.nodesMax), not \(nodes)")
        }
        guard (1...3_600_000).contains(milliseconds) else {
            throw ValidationError("--milliseconds takes 1 to 3600000, not \(milliseconds)")
        }
    }

    var simulation: SimulationOptions {
        SimulationOptions(
            nodes: nodes, store: store, faultyMilliseconds: milliseconds, faults: faults ?? .all, always: always,
            load: load.map { SimulationOptions.Load(writesPerSecond: $0) })
    }
}

extension SimulationOptions {
    /// As `simulate` takes them; what is not named is the default.
    var arguments: [String] {
        let usual = SimulationOptions()
        var arguments = ["--nodes", "\(nodes)"]
        if store != usual.store { arguments += ["--store", store.rawValue] }
        if faultyMilliseconds != usual.faultyMilliseconds { arguments += ["--milliseconds", "\(faultyMilliseconds)"] }
        if let load { arguments += ["--load", "\(load.writesPerSecond)"] }
        if !always.isEmpty { arguments += ["--always", "\(always)"] }
        if faults != usual.faults { arguments += ["--faults", faults.isEmpty ? "none" : "\(faults)"] }
        return arguments
    }
}

extension SimulationOptions.Store: ExpressibleByArgument {}

extension FaultKinds: ExpressibleByArgument {
    /// Takes names of kinds with commas between them, or "none".
    public init?(argument: String) {
        self.init()
        if argument == "none" { return }
        for name in argument.split(separator: ",") {
            guard let kind = FaultKind(name: name) else { return nil }
            insert(kind)
        }
    }
}
