import Foundation
import MetadataClient
import MetadataModel
import RaftCore
import Synchronization

/// Reads registers through one node and no other, leader or follower, on a thread of its own: a call blocks.
final class NodeReader: Sendable {
    private struct State {
        var isStopping = false
        var hasEnded = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let node: Int
    private let endpoint: MetadataClient.Endpoint
    private let registers: [String]
    private let recorder: HistoryRecorder
    private let consistency: ReadConsistency
    private let seed: UInt64
    private let state = Mutex(State())

    init(
        node: Int, endpoint: MetadataClient.Endpoint, registers: [String], recorder: HistoryRecorder,
        consistency: ReadConsistency, seed: UInt64
    ) {
        self.node = node
        self.endpoint = endpoint
        self.registers = registers
        self.recorder = recorder
        self.consistency = consistency
        self.seed = seed
    }

    func start() {
        let thread = Thread { [self] in
            run()
            let waiter = state.withLock { state in
                state.hasEnded = true
                return state.waiter.take()
            }
            waiter?.resume()
        }
        thread.name = "reader-\(node)"
        thread.start()
    }

    func stop() async {
        await withCheckedContinuation { continuation in
            let hasEnded = state.withLock { state in
                state.isStopping = true
                if !state.hasEnded { state.waiter = continuation }
                return state.hasEnded
            }
            if hasEnded { continuation.resume() }
        }
    }

    private var goesOn: Bool { state.withLock { !$0.isStopping } }

    private func run() {
        var random = SeededGenerator(seed: seed, stream: 1_000 + UInt64(node))
        var reader: DirectReader?
        while goesOn {
            Thread.sleep(forTimeInterval: 0.01 + Double(random.below(15)) / 1_000)
            let register = registers[random.below(registers.count)]
            let invoked = recorder.clock.now
            let ending: RecordedCall.Ending
            do {
                let connected = try reader ?? DirectReader(endpoint, patience: .seconds(1))
                reader = connected
                let query = Query.configs(.topic(.name(register)), after: nil, limit: 10)
                switch try connected.answer(query, consistency, timeout: .milliseconds(800)) {
                case .configs(let page):
                    let entry = page.items.first { $0.name == Workload.key }
                    ending = .value(entry?.value, entry?.version ?? .zero)
                case .some(let other): ending = .failed("answered with \(other)")
                case nil: ending = .failed("node \(node) cannot read now")
                }
            } catch {
                // Whatever it still says on this connection is no answer to the next question.
                reader = nil
                ending = .failed("\(error)")
            }
            recorder.append(
                RecordedCall(
                    lane: 1_000 + node, action: .read(register), invoked: invoked, returned: recorder.clock.now,
                    ending: ending))
            // A node that is not there is not asked all the time.
            if reader == nil { Thread.sleep(forTimeInterval: 0.05) }
        }
    }
}
