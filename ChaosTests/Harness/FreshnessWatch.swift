import Foundation
import MetadataClient
import MetadataModel
import Synchronization

/// Asks every node directly, the one that is cut off too, what the counters are, linearizably: no answer may be older than what
/// was acknowledged before the question.
final class FreshnessWatch: Sendable {
    private struct State {
        var isStopping = false
        var answered: [Int: Int] = [:]
        var refused: [Int: Int] = [:]
        var violations: [String] = []
    }

    private let load: CounterLoad
    private let state = Mutex(State())

    init(_ load: CounterLoad) { self.load = load }

    var violations: [String] { state.withLock { $0.violations } }
    func answered(by id: Int) -> Int { state.withLock { $0.answered[id] ?? 0 } }
    /// Also what the node did not answer at all.
    func refused(by id: Int) -> Int { state.withLock { $0.refused[id] ?? 0 } }

    func start(_ endpoints: [(id: Int, port: UInt16)]) {
        for (id, port) in endpoints {
            let thread = Thread { [self] in ask(id, port) }
            thread.name = "fresh-\(id)"
            thread.start()
        }
    }

    /// The threads end after their last question.
    func stop() { state.withLock { $0.isStopping = true } }

    private func ask(_ id: Int, _ port: UInt16) {
        var reader: DirectReader?
        while !state.withLock({ $0.isStopping }) {
            do {
                let current = try reader ?? DirectReader(port: port, patience: .seconds(3))
                reader = current
                let before = load.counters
                let answer = try current.answer(.configs(.cluster, after: nil, limit: 1_000), .linearizable)
                guard case .configs(let page)? = answer else {
                    refuses(id)
                    continue
                }
                judge(id, page.items, before)
                Thread.sleep(forTimeInterval: 0.02)
            } catch {
                reader = nil
                refuses(id)
            }
        }
    }

    private func refuses(_ id: Int) {
        state.withLock { $0.refused[id, default: 0] += 1 }
        Thread.sleep(forTimeInterval: 0.02)
    }

    private func judge(_ id: Int, _ entries: [ConfigEntry], _ before: [CounterLoad.Counter]) {
        let values = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, Int($0.value) ?? 0) })
        let after = load.counters
        var violations: [String] = []
        for (writer, counter) in before.enumerated() {
            let seen = values[CounterLoad.key(of: writer)] ?? 0
            if seen < counter.acknowledged, !after[writer].unknown.contains(seen) {
                violations.append("node \(id) says \(seen) where \(counter.acknowledged) was acknowledged before")
            }
            if seen > after[writer].begun { violations.append("node \(id) says \(seen), which nobody wrote") }
        }
        state.withLock { state in
            state.answered[id, default: 0] += 1
            state.violations += violations
        }
    }
}
