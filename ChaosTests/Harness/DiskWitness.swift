import Foundation
import Synchronization

/// Syncs a small file of its own again and again, as a node does, and remembers the longest sync: what a disk does to somebody who
/// has nothing to do with the nodes. Where it stood still, nodes change their leader by right.
final class DiskWitness: Sendable {
    private struct State {
        var longest = Duration.zero
        var isOver = false
    }

    private final class Box: Sendable {
        let value = Mutex(State())
    }

    private let state = Box()

    /// - Parameter folder: on the disk in question.
    init(in folder: URL) throws {
        let path = folder.appendingPathComponent("witness").path
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw LocalCluster.HarnessFailure(description: "cannot write \(path)") }
        let thread = Thread { [state] in
            let page = [UInt8](repeating: 7, count: 4_096)
            while !state.value.withLock({ $0.isOver }) {
                let began = ContinuousClock.now
                _ = pwrite(file.fileDescriptor, page, page.count, 0)
                _ = fsync(file.fileDescriptor)
                let took = ContinuousClock.now - began
                state.value.withLock { $0.longest = max($0.longest, took) }
                usleep(10_000)
            }
            file.closeFile()
        }
        thread.start()
    }

    /// Ends the watch.
    func stop() -> Duration {
        state.value.withLock {
            $0.isOver = true
            return $0.longest
        }
    }
}
