import ArgumentParser
import Simulation

/// Runs the deterministic simulator.
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Simulate whole clusters, each decided by one seed.",
        subcommands: [Run.self, Mutants.self, Probe.self]
    )
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run a range of seeds and stop at the first finding.")

    @Option(help: "One seed, or first..last.")
    var seeds: SeedRange

    @Option(help: "Members of the cluster, 1 to 9.")
    var nodes: Int = 5

    @Flag(help: "Name each seed before it runs, to find one that ends the program.")
    var verbose = false

    func validate() throws {
        guard (1...9).contains(nodes) else { throw ValidationError("--nodes takes 1 to 9, not \(nodes)") }
    }

    func run() throws {
        let clock = ContinuousClock()
        let start = clock.now
        var total = SimulationReport(seed: 0)
        var runs = 0
        for seed in seeds.first...seeds.last {
            if verbose { print("seed \(seed)") }
            do {
                let report = try SimulatedCluster.run(seed: seed, options: SimulationOptions(nodes: nodes))
                total.add(report)
                runs += 1
                if seeds.first == seeds.last { print("trace \(report.trace)") }
            } catch {
                print("seed \(seed): \(error)")
                print("repeat: simulate run --seeds \(seed) --nodes \(nodes)")
                throw ExitCode(1)
            }
        }
        let elapsed = clock.now - start
        print(
            "\(runs) runs, \(total.simulatedMilliseconds / 1_000) simulated seconds in \(elapsed), "
                + "\(total.events) events, \(total.elections) elections, \(total.acknowledgedWrites) writes, "
                + "\(total.reads) reads; faults: \(total.crashes) crashes, \(total.partitions) partitions, "
                + "\(total.messagesDropped) messages dropped, \(total.messagesDuplicated) duplicated, "
                + "\(total.slowSyncs) slow syncs, \(total.snapshots) snapshots")
    }
}

struct SeedRange: ExpressibleByArgument {
    var first: UInt64
    var last: UInt64

    init?(argument: String) {
        let parts = argument.split(separator: ".", omittingEmptySubsequences: true)
        guard let first = parts.first.flatMap({ UInt64($0) }) else { return nil }
        switch parts.count {
        case 1:
            self.first = first
            last = first
        case 2:
            guard let last = UInt64(parts[1]), last >= first else { return nil }
            self.first = first
            self.last = last
        default:
            return nil
        }
    }
}
