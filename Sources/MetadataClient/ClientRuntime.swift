import Logging
import NIOCore
import Synchronization

/// Carries what callers ask to the event loop, in batches: whatever was posted while the loop was busy is one batch, and
/// wakes it once.
final class ClientRuntime: Sendable {
    private struct Mailbox {
        var inputs: [ClientInput] = []
    }

    private let eventLoop: any EventLoop
    private let mailbox = Mutex(Mailbox())
    private let lastCallID = Atomic<UInt64>(0)

    init(options: MetadataClient.Options, logger: Logger, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func nextCallID() -> CallID { lastCallID.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Hands an input to the event loop. Any thread.
    func post(_ input: ClientInput) {
        let wakes = mailbox.withLock { mailbox in
            mailbox.inputs.append(input)
            return mailbox.inputs.count == 1
        }
        if wakes { eventLoop.execute { self.drain() } }
    }

    private func drain() {
        let inputs = mailbox.withLock { mailbox in
            let inputs = mailbox.inputs
            mailbox.inputs = []
            return inputs
        }
        let failure = CallFailure(.unavailable, .definite, "no node is connected")
        for input in inputs {
            switch input {
            case .write(_, _, _, let handler): handler(.failure(failure))
            case .read(_, _, _, _, let handler): handler(.failure(failure))
            case .heartbeat(_, _, _, let handler): handler(.failure(failure))
            case .status(_, _, _, let handler): handler(.failure(failure))
            case .watch(_, _, _, let buffer): buffer.finish(failure)
            case .knownEndpoints(let handler): handler([])
            case .close(let handler): handler()
            case .cancel, .resumeWatch, .cancelWatch: break
            }
        }
    }
}
