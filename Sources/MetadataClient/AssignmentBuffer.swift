import MetadataModel
import Synchronization

/// Carries a broker's instructions from the cache to the one task that takes them. Any thread.
final class AssignmentBuffer: Sendable {
    let broker: BrokerID

    private struct State {
        var machine: AssignmentMachine
        /// Set while the consumer waits; then there is no instruction to be given.
        var consumer: CheckedContinuation<Assignment?, Never>?
    }

    private let state: Mutex<State>
    private let core: CacheCore
    /// Is told of each instruction that is given.
    private let witness: @Sendable (Assignment) -> Void

    init(broker: BrokerID, core: CacheCore, witness: @escaping @Sendable (Assignment) -> Void) {
        self.broker = broker
        self.core = core
        self.witness = witness
        state = Mutex(State(machine: AssignmentMachine(broker: broker)))
    }

    // MARK: What happens

    func registered(_ epoch: BrokerEpoch) {
        change { $0.registered(epoch) }
        core.whenReached(Version(epoch.rawValue)) { [weak self] failure in
            if failure == nil { self?.change { _ in } }
        }
    }

    func unregistered() { change { $0.unregistered() } }

    func touched(_ keys: [PartitionKey]) {
        change { for key in keys { $0.touched(key) } }
    }

    func replaced(_ keys: [PartitionKey]) {
        change { machine in
            machine.replaced()
            for key in keys { machine.touched(key) }
        }
    }

    func end() { change { $0.end() } }

    /// Changes the machine, and wakes the consumer if there is something for it now.
    private func change(_ body: (inout AssignmentMachine) -> Void) {
        let (consumer, answer) = state.withLock { state -> (CheckedContinuation<Assignment?, Never>?, Assignment?) in
            body(&state.machine)
            guard let consumer = state.consumer else { return (nil, nil) }
            guard let answer = next(&state.machine) else { return (nil, nil) }
            state.consumer = nil
            return (consumer, answer)
        }
        if let assignment = answer { witness(assignment) }
        consumer?.resume(returning: answer)
    }

    /// Nil: nothing now. The image is taken under the lock, for what was touched before has to be seen; nothing else is
    /// locked inside of it.
    private func next(_ machine: inout AssignmentMachine) -> Assignment?? {
        if machine.state == .ended { return .some(nil) }
        return machine.next(core.image).map { .some($0) }
    }

    // MARK: The consumer's side

    /// The next instruction; nil when the session has ended or the task is cancelled.
    func next() async -> Assignment? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Assignment?, Never>) in
                let answer = state.withLock { state -> Assignment?? in
                    if let answer = next(&state.machine) { return answer }
                    precondition(state.consumer == nil, "assignments are taken by one task at a time")
                    state.consumer = continuation
                    return nil
                }
                if let answer {
                    if let assignment = answer { witness(assignment) }
                    continuation.resume(returning: answer)
                }
                // A cancellation that came before the consumer was noted down found nobody to wake.
                if Task.isCancelled { abandon() }
            }
        } onCancel: {
            abandon()
        }
    }

    /// The consumer does not wait any more; what it was not given, the next one gets.
    private func abandon() {
        state.withLock { $0.consumer.take() }?.resume(returning: nil)
    }
}
