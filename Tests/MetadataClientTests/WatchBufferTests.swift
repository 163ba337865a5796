import MetadataModel
import Synchronization
import Testing

@testable import MetadataClient

@Suite("WatchBuffer")
struct WatchBufferTests {
    private final class Calls: Sendable {
        let resumed = Atomic<Int>(0)
        let cancelled = Atomic<Int>(0)

        func makeBuffer() -> WatchBuffer {
            WatchBuffer(
                resume: { _ = self.resumed.wrappingAdd(1, ordering: .relaxed) },
                cancel: { _ = self.cancelled.wrappingAdd(1, ordering: .relaxed) })
        }
    }

    private func progress(_ versions: ClosedRange<UInt64>) -> [WatchEvent] {
        versions.map { .progress(Version($0)) }
    }

    @Test("events leave in the order in which they came, and the end after them")
    func order() async throws {
        let buffer = Calls().makeBuffer()
        #expect(buffer.offer(progress(1...3)))
        #expect(buffer.offer(progress(4...4)))
        buffer.finish()
        var taken: [WatchEvent] = []
        for try await event in MetadataWatch(buffer: buffer) { taken.append(event) }
        #expect(taken == progress(1...4))
    }

    @Test("a full buffer says so once it holds its limit, and asks to go on when it is nearly empty")
    func backpressure() async throws {
        let calls = Calls()
        let buffer = calls.makeBuffer()
        let limit = UInt64(WatchBuffer.eventsMax)
        #expect(buffer.offer(progress(1...(limit - 1))))
        #expect(!buffer.offer(progress(limit...limit)))
        for _ in 0..<(WatchBuffer.eventsMax - WatchBuffer.eventsLow - 1) { _ = try await buffer.next() }
        #expect(calls.resumed.load(ordering: .relaxed) == 0)
        _ = try await buffer.next()
        #expect(calls.resumed.load(ordering: .relaxed) == 1)
        for _ in 0..<WatchBuffer.eventsLow { _ = try await buffer.next() }
        #expect(calls.resumed.load(ordering: .relaxed) == 1)
    }

    @Test("a consumer that waits gets the next event, and the rest is kept")
    func waiting() async throws {
        let buffer = Calls().makeBuffer()
        async let first = buffer.next()
        _ = buffer.offer(progress(1...2))
        #expect(try await first == .progress(Version(1)))
        #expect(try await buffer.next() == .progress(Version(2)))
    }

    @Test("an error is thrown once, after the events before it; then the sequence is over")
    func failure() async throws {
        let buffer = Calls().makeBuffer()
        _ = buffer.offer(progress(1...1))
        buffer.finish(CallFailure(.invalidRequest, .definite, "no"))
        #expect(try await buffer.next() == .progress(Version(1)))
        let error = await #expect(throws: MetadataError.self) { try await buffer.next() }
        #expect(error?.code == .invalidRequest)
        #expect(try await buffer.next() == nil)
    }

    @Test("cancelling the consumer's task ends the sequence and the watch")
    func cancellation() async throws {
        let calls = Calls()
        let buffer = calls.makeBuffer()
        let task = Task { try await buffer.next() }
        task.cancel()
        #expect(try await task.value == nil)
        #expect(calls.cancelled.load(ordering: .relaxed) == 1)
    }

    @Test("dropping the sequence ends the watch")
    func dropped() {
        let calls = Calls()
        do {
            let watch = MetadataWatch(buffer: calls.makeBuffer())
            _ = watch.makeAsyncIterator()
        }
        #expect(calls.cancelled.load(ordering: .relaxed) == 1)
    }
}
