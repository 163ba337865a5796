import ArgumentParser
import Foundation
import MetadataModel

struct BenchEntriesCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "entries", abstract: "Measures commands that concern very many partitions; needs no cluster.",
        discussion: """
            Each is applied to a database of its own, in one thread. The longest entry is what other writes of a cluster wait \
            for on each node.
            """)

    @Option(help: "How many partitions each concerns.") var partitions = Int(Limits.partitionsPerTopicMax)
    @OptionGroup var global: OutputOptions

    func validate() throws {
        guard (1...Int(Limits.partitionsPerTopicMax)).contains(partitions) else {
            throw ValidationError("--partitions must be 1 to \(Limits.partitionsPerTopicMax)")
        }
    }

    func run() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "metactl-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // The system clears what stays in its temporary folder.
        defer { try? FileManager.default.removeItem(at: folder) }
        var benchmark = try EntryBenchmark(partitions: partitions, folder: folder.path)
        try global.console.print(EntriesReport(partitions: partitions, rows: try benchmark.run()))
    }
}
