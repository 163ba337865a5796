import ArgumentParser
import Foundation

struct BenchLayersCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "layers", abstract: "Measures each layer of a node alone; needs no cluster.",
        discussion: """
            \(BenchLayer.allCases.map(\.rawValue).joined(separator: ", ")): one thread, the commands of bench write. To count \
            instructions and allocations too: cluster/bench/layers.
            """)

    @Option(help: "Only this layer.") var layer: BenchLayer?
    @Option(help: "Operations of each.") var count = 100_000
    @Option(help: "Operations that share a message, a sync or a transaction.") var batch = 64
    @OptionGroup var global: OutputOptions

    func validate() throws {
        guard (1...100_000_000).contains(count) else { throw ValidationError("--count must be 1 to 100000000") }
        guard (1...4_096).contains(batch) else { throw ValidationError("--batch must be 1 to 4096") }
    }

    func run() async throws {
        var rows: [LayerReport.Row] = []
        for layer in layer.map({ [$0] }) ?? BenchLayer.allCases {
            let folder = FileManager.default.temporaryDirectory.appending(path: "metactl-bench-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            // The system clears what stays in its temporary folder.
            defer { try? FileManager.default.removeItem(at: folder) }
            let measured = try LayerBenchmark(batch: batch, folder: folder.path).run(layer, count: count)
            let microseconds = measured.elapsed.inSeconds * 1e6 / Double(measured.operations)
            rows.append(
                .init(layer: layer.rawValue, operations: measured.operations, usEach: Numbers.rounded(microseconds)))
        }
        try global.console.print(LayerReport(batch: batch, layers: rows))
    }
}

extension BenchLayer: ExpressibleByArgument {}

/// The result of `bench layers`.
struct LayerReport: Report {
    var benchmark = "layers"
    var batch: Int
    var layers: [Row]

    struct Row: Encodable, Sendable {
        var layer: String
        var operations: Int
        /// Microseconds of wall time for one operation.
        var usEach: Double
    }

    var table: String {
        var table = Table(["LAYER", "OPERATIONS", "US EACH"])
        for row in layers { table.add([row.layer, "\(row.operations)", "\(row.usEach)"]) }
        return "in batches of \(batch)\n" + table.text
    }
}
