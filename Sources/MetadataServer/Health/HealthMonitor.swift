import Dispatch
import Foundation
import RaftCore
import Synchronization
import Telemetry

/// Judges the parts of a node all the time, on a thread of its own, so that whoever asks is answered from the last result at
/// once, also while a check hangs.
final class HealthMonitor: HealthSource, Sendable {
    struct Options: Sendable {
        /// Between two checks that may block.
        var interval: Duration
        /// One that takes longer is said to hang.
        var timeout: Duration
        var grace: HealthJudgement.Grace
        /// A loop that is silent for this long makes the process one that should be restarted: far longer than what makes it
        /// not ready, since a restart costs more than it mends.
        var liveSilenceMax: Duration
        var proposalTimeout: Duration

        init(_ configuration: NodeConfiguration) {
            interval = configuration.health.checkInterval
            timeout = configuration.resilience.timeouts.healthCheck
            grace = HealthJudgement.Grace(
                toFail: configuration.health.failAfter, toRecover: configuration.health.recoverAfter)
            liveSilenceMax = configuration.health.liveFailAfter
            proposalTimeout = configuration.resilience.timeouts.proposal
        }
    }

    fileprivate struct Part {
        var judgement: HealthJudgement
        /// Nil for what only the node loop tells.
        var run: HealthProbeRun?
        /// What the latest probe found.
        var found = CheckResult.pass
        var latency: Duration?
        var checkedAt: Duration?
    }

    /// How often the node loop's word is looked at.
    static let tickInterval: Duration = .milliseconds(250)

    private let published: PublishedState
    private let options: Options
    private let probes: [HealthComponent: NodeProbe]
    /// Checks that did not answer in time.
    private let timeouts: CounterHandle
    /// What else is to be done now and then.
    private let alongside: @Sendable () -> Void
    private let start = ContinuousClock.now
    private let parts: Mutex<[HealthComponent: Part]>
    private let isRunning = Mutex(false)
    private let stopping = DispatchSemaphore(value: 0)
    private let stopped = DispatchSemaphore(value: 0)

    init(
        published: PublishedState, options: Options, probes: [NodeProbe], timeouts: CounterHandle,
        alongside: @escaping @Sendable () -> Void = {}
    ) {
        self.published = published
        self.options = options
        self.probes = Dictionary(uniqueKeysWithValues: probes.map { ($0.component, $0) })
        self.timeouts = timeouts
        self.alongside = alongside
        let probed = Set(probes.map(\.component))
        parts = Mutex(
            Dictionary(
                uniqueKeysWithValues: HealthComponent.allCases.map { component in
                    let run = HealthProbeRun(interval: options.interval, timeout: options.timeout, now: .zero)
                    return (
                        component,
                        Part(
                            judgement: HealthJudgement(grace: options.grace),
                            run: probed.contains(component) ? run : nil)
                    )
                }))
    }

    /// Begins to watch, until `stop`. Once.
    func run() {
        isRunning.withLock { $0 = true }
        let thread = Thread { [self] in
            while stopping.wait(timeout: .now() + (Self.tickInterval / .seconds(1))) == .timedOut {
                tick()
                alongside()
            }
            stopped.signal()
        }
        thread.name = "metad-health"
        thread.start()
    }

    /// Ends the thread, if it was ever begun; a check that hangs is left behind.
    func stop() {
        guard isRunning.withLock({ $0 }) else { return }
        stopping.signal()
        stopped.wait()
    }

    private var now: Duration { start.duration(to: .now) }

    func tick() {
        let latest = published.latest
        guard let reading = latest.reading else { return }
        let checks = ReadingChecks(reading: reading, age: latest.age, proposalTimeout: options.proposalTimeout)
        let now = now
        let steps = parts.withLock { parts in
            HealthComponent.allCases.map { ($0, parts[$0]?.look(checks.result(of: $0), at: now) ?? .wait) }
        }
        for (component, step) in steps {
            switch step {
            case .begin: probes[component]?.begin { [self] result in ended(component, result) }
            case .hangs(_, isNew: true): timeouts.increment()
            case .hangs, .wait: break
            }
        }
    }

    private func ended(_ component: HealthComponent, _ result: CheckResult) {
        let now = now
        parts.withLock { $0[component]?.ended(result, at: now) }
    }

    func snapshot() -> NodeHealth {
        let latest = published.latest
        var failures: [String] = []
        if let failure = latest.failure { failures.append(failure) }
        if latest.age > options.liveSilenceMax {
            failures.append("the node loop has not turned for \(latest.age.inTenths)")
        }
        let now = now
        let clock = Timestamp.now()
        let checks = parts.withLock { parts in
            HealthComponent.allCases.compactMap { parts[$0]?.check($0, now: now, clock: clock) }
        }
        // Nothing is said before all of it was looked at once.
        return NodeHealth(
            nodeID: published.nodeID, clusterID: published.clusterID, reading: checks.isEmpty ? nil : latest.reading,
            sizes: published.directorySizes, failures: failures, checks: checks)
    }
}

extension HealthMonitor.Part {
    /// - Parameter told: what the node loop says of the part.
    fileprivate mutating func look(_ told: CheckResult, at now: Duration) -> HealthProbeRun.Step {
        let step = run?.tick(now: now) ?? .wait
        var seen = told.isFailure ? told : found.isFailure ? found : told
        switch step {
        case .hangs(let time, _):
            latency = time
            if !told.isFailure { seen = .fail("the check hangs, for \(time.inTenths) by now") }
        case .wait, .begin:
            if run == nil { checkedAt = now }
        }
        judgement.observe(seen, at: now)
        return step
    }

    fileprivate mutating func ended(_ result: CheckResult, at now: Duration) {
        found = result
        checkedAt = now
        latency = run?.ended(now: now, isNews: result.isFailure != judgement.verdict?.result.isFailure)
    }

    fileprivate func check(_ component: HealthComponent, now: Duration, clock: Timestamp) -> NodeHealth.Check? {
        guard let verdict = judgement.verdict else { return nil }
        return NodeHealth.Check(
            component: component, result: verdict.result, since: clock.advanced(by: verdict.since - now),
            checkedAt: checkedAt.map { clock.advanced(by: $0 - now) }, latency: latency)
    }
}
