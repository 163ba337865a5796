import Simulation
import Testing

/// Whole clusters, each decided by one seed. A finding names the seed and the command that repeats it.
@Suite("Simulated clusters")
struct SimulationTests {
    @Test("five nodes with crashes, partitions, loss and slow disks keep every rule", arguments: [0..<150, 150..<300])
    func fiveNodes(seeds: Range<UInt64>) throws {
        var total = SimulationReport(seed: 0)
        for seed in seeds { total.add(try run(seed, nodes: 5)) }
        // The faults took place; otherwise nothing was shown.
        #expect(total.crashes > 100)
        #expect(total.partitions > 100)
        #expect(total.messagesDropped > 1_000)
        #expect(total.messagesDuplicated > 1_000)
        #expect(total.slowSyncs > 100)
        #expect(total.snapshots > 20)
        #expect(total.elections > 150)
        #expect(total.acknowledgedWrites > 5_000)
        #expect(total.reads > 2_000)
    }

    @Test("one, two, three and four nodes keep every rule", arguments: [1, 2, 3, 4])
    func otherSizes(nodes: Int) throws {
        for seed in 0..<UInt64(40) { _ = try run(seed, nodes: nodes) }
    }

    @Test("seeds drawn anew at each run keep every rule")
    func randomSeeds() throws {
        let first = UInt64.random(in: 1_000_000..<1_000_000_000)
        print("simulated cluster: seeds from \(first)")
        let end = ContinuousClock.now + .seconds(20)
        var runs: UInt64 = 0
        while ContinuousClock.now < end {
            _ = try run(first + runs, nodes: 3 + Int(runs % 3))
            runs += 1
        }
        print("simulated cluster: \(runs) seeds from \(first) pass")
    }

    @Test("one seed gives one trace")
    func deterministic() throws {
        for seed in 0..<UInt64(10) {
            let once = try run(seed, nodes: 5)
            #expect(try run(seed, nodes: 5) == once)
        }
        #expect(try run(1, nodes: 5).trace != run(2, nodes: 5).trace)
    }

    private func run(_ seed: UInt64, nodes: Int) throws -> SimulationReport {
        do throws(Violation) {
            return try SimulatedCluster.run(seed: seed, options: SimulationOptions(nodes: nodes))
        } catch {
            Issue.record("\(error); repeat with: simulate run --seeds \(seed) --nodes \(nodes)")
            throw error
        }
    }
}
