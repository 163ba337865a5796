import Foundation
import RaftCore
import Testing

/// Every decoder under mutated inputs for about a second. What trips a `precondition` ends the process: the seed that was
/// printed last, given as `FUZZ_SEED`, repeats it.
@Suite("Decoders under mutated inputs", .serialized)
struct FuzzTests {
    private static let inputsPerSeed = 200
    private static let time = Duration.milliseconds(700)
    /// Well beyond what decoders keep by themselves, far below what a length of 32 bits could ask for.
    private static let growthBytesMax = 256 << 20
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus")

    @Test(
        "no input traps, takes memory by a length that lies, or means something else when encoded again (pitfall 43)",
        arguments: FuzzTarget.all)
    func mutations(of target: FuzzTarget) throws {
        let examples = try target.examples()
        let inputs = try examples + kept(target)
        for example in examples {
            #expect(try target.judge(example) == .accepted, "an example of \(target) is refused")
        }
        for input in inputs { _ = try target.judge(input) }

        let given = ProcessInfo.processInfo.environment["FUZZ_SEED"].flatMap { UInt64($0) }
        var seed = given ?? UInt64.random(in: 0..<1_000_000_000)
        print("fuzz \(target): seeds from \(seed) on; FUZZ_SEED=\(seed) swift test --filter FuzzTests repeats it")
        let before = addressSpacePeak()
        let end = ContinuousClock.now + Self.time
        var refused = 0
        repeat {
            var mutator = Mutator(seed: seed, examples: inputs)
            for _ in 0..<Self.inputsPerSeed {
                let input = mutator.next()
                do {
                    if try target.judge(input) == .refused { refused += 1 }
                } catch {
                    let hex = input.map { String(format: "%02x", $0) }.joined()
                    Issue.record("\(target), seed \(seed): \(error)\ninput: \(hex)")
                    return
                }
            }
            seed += 1
        } while ContinuousClock.now < end
        #expect(refused > 0, "nothing was refused: the mutations do not reach the decoder")
        #expect(addressSpacePeak() - before < Self.growthBytesMax, "\(target) took memory by a length that lies")
    }

    @Test("the same seed makes the same inputs, and different ones from the next")
    func seeds() {
        func inputs(_ seed: UInt64) -> [[UInt8]] {
            var mutator = Mutator(seed: seed, examples: [Array(0..<100), Array(100..<200)])
            return (0..<50).map { _ in mutator.next() }
        }
        #expect(inputs(1) == inputs(1))
        #expect(inputs(1) != inputs(2))
        #expect(Set(inputs(1)).count > 40)
    }

    /// What was interesting once: small inputs that reach code which the examples do not.
    private func kept(_ target: FuzzTarget) throws -> [[UInt8]] {
        let folder = Self.corpus.appending(path: target.name)
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
            [UInt8](try Data(contentsOf: folder.appending(path: $0)))
        }
    }

    /// The most memory that was ever asked for, touched or not; zero where the system does not say.
    private func addressSpacePeak() -> Int {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmPeak:") })
        else { return 0 }
        return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) << 10
    }
}
