import Logging
import NIOCore
import Synchronization

/// Carries what callers ask to the event loop, in batches: whatever was posted while the loop was busy is one batch, and
/// wakes it once.
final class ClientRuntime: Sendable {
    private let eventLoop: any EventLoop
    private let mailbox = Mutex<[ClientInput]>([])
    private let lastCallID = Atomic<UInt64>(0)
    /// Touched on the event loop only, which the box checks.
    private let core: NIOLoopBoundBox<ClientCore>

    init(options: MetadataClient.Options, logger: Logger, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        core = .makeBoxSendingValue(
            ClientCore(options: options, logger: logger, eventLoop: eventLoop), eventLoop: eventLoop)
    }

    func nextCallID() -> CallID { lastCallID.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Hands an input to the event loop. Any thread.
    func post(_ input: ClientInput) {
        let wakes = mailbox.withLock { mailbox in
            mailbox.append(input)
            return mailbox.count == 1
        }
        if wakes { eventLoop.execute { self.drain() } }
    }

    private func drain() {
        let inputs = mailbox.withLock { mailbox in
            let inputs = mailbox
            mailbox = []
            return inputs
        }
        core.value.submit(inputs)
    }
}
