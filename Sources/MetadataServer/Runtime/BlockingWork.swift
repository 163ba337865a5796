import Dispatch
import Synchronization

/// Work that blocks and cannot be interrupted did not end in time; it may still be going on.
struct BlockingWorkTimedOut: Error, CustomStringConvertible {
    var what: String
    var patience: Duration

    var description: String { "\(what) did not end within \(patience): does the disk hang?" }
}

enum BlockingWork {
    /// Runs `work` on a thread outside of the cooperative pool and waits for its end, but not for longer than `patience`:
    /// what is told to stop must not hang because a disk does.
    static func run(
        _ what: String, within patience: Duration, _ work: @escaping @Sendable () throws -> Void
    ) async throws {
        let first = First()
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            DispatchQueue.global().async {
                let result = Result { try work() }
                if first.claim() { continuation.resume(with: result) }
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(patience.wholeMilliseconds))) {
                if first.claim() {
                    continuation.resume(throwing: BlockingWorkTimedOut(what: what, patience: patience))
                }
            }
        }
    }

    /// Which of two came first.
    private final class First: Sendable {
        private let isTaken = Mutex(false)

        func claim() -> Bool {
            isTaken.withLock { isTaken in
                defer { isTaken = true }
                return !isTaken
            }
        }
    }
}
