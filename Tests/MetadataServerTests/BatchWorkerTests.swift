import Dispatch
import Synchronization
import Testing

@testable import MetadataServer

@Suite("The thread that works in batches")
struct BatchWorkerTests {
    @Test("everything submitted is done, in order, before stop returns")
    func complete() {
        let done = Mutex<[Int]>([])
        let worker = BatchWorker<Int>(name: "test") { batch in done.withLock { $0 += batch } }
        for number in 0..<10_000 { worker.submit(number) }
        worker.stop()
        #expect(done.withLock { $0 } == Array(0..<10_000))
    }

    @Test("what queues up while the thread is busy becomes one batch")
    func batches() {
        let sizes = Mutex<[Int]>([])
        let isBusy = DispatchSemaphore(value: 0)
        let goOn = DispatchSemaphore(value: 0)
        let worker = BatchWorker<Int>(name: "test") { batch in
            sizes.withLock { $0.append(batch.count) }
            if batch.contains(0) {
                isBusy.signal()
                goOn.wait()
            }
        }
        worker.submit(0)
        isBusy.wait()
        worker.submit(contentsOf: 1...100)
        #expect(worker.depth == 100)
        goOn.signal()
        worker.stop()
        #expect(sizes.withLock { $0 } == [1, 100])
    }

    @Test("a probe is answered behind what was submitted before, on a thread that is idle as well")
    func probes() {
        let done = Mutex<[Int]>([])
        let isBusy = DispatchSemaphore(value: 0)
        let goOn = DispatchSemaphore(value: 0)
        let isAnswered = DispatchSemaphore(value: 0)
        let worker = BatchWorker<Int>(name: "test") { batch in
            done.withLock { $0 += batch }
            isBusy.signal()
            goOn.wait()
        }
        func probe(_ number: Int) {
            worker.probe {
                done.withLock { $0.append(number) }
                isAnswered.signal()
            }
        }
        probe(-1)
        isAnswered.wait()
        worker.submit(1)
        isBusy.wait()
        probe(-2)
        worker.submit(2)
        #expect(done.withLock { $0 } == [-1, 1], "the thread hangs")
        goOn.signal()
        isBusy.wait()
        goOn.signal()
        isAnswered.wait()
        worker.stop()
        #expect(done.withLock { $0 } == [-1, 1, 2, -2])
        worker.probe { Issue.record("answered after the end") }
    }

    @Test("after stop nothing is taken, and nothing crashes")
    func stopped() {
        let done = Mutex(0)
        let worker = BatchWorker<Int>(name: "test") { batch in done.withLock { $0 += batch.count } }
        worker.stop()
        worker.submit(1)
        #expect(done.withLock { $0 } == 0)
    }
}

@Suite struct BlockingWorkTests {
    @Test("work that ends in time gives its result, or its error")
    func inTime() async throws {
        let done = Mutex(false)
        try await BlockingWork.run("work", within: .seconds(30)) { done.withLock { $0 = true } }
        #expect(done.withLock { $0 })
        struct Failed: Error {}
        await #expect(throws: Failed.self) {
            try await BlockingWork.run("work", within: .seconds(30)) { throw Failed() }
        }
    }

    @Test("work that hangs is left alone when its time is up, so that a stop ends though the disk does not answer")
    func hangs() async throws {
        let release = DispatchSemaphore(value: 0)
        defer { release.signal() }
        let error = await #expect(throws: BlockingWorkTimedOut.self) {
            try await BlockingWork.run("ending the log", within: .milliseconds(20)) { release.wait() }
        }
        #expect(error?.description.contains("ending the log did not end within") == true)
    }
}
