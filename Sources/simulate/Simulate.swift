import ArgumentParser

/// Runs the deterministic simulator.
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Simulate whole clusters, each decided by one seed.",
        subcommands: [RunCommand.self, SoakCommand.self, Mutants.self, WorkCommand.self, Probe.self])
}
