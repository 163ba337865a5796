import Dispatch
import NIOCore
import Testing

@testable import MetadataServer

@Suite("Supervision of a node's threads")
struct SupervisionTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("a thread that is idle, or busy for as long as its work may take, is left alone")
    func patient() {
        var supervision = Supervision()
        #expect(supervision.check(now: start) { _ in nil } == [])
        #expect(supervision.check(now: start) { start - $0.patience } == [])
    }

    @Test("what can be replaced is replaced, five times in five minutes; then the process ends")
    func replaces() {
        var supervision = Supervision()
        func stuck(_ part: Supervision.Part) -> NIODeadline? {
            part == .survey ? start - .minutes(6) : nil
        }
        for _ in 0..<5 { #expect(supervision.check(now: start, busy: stuck) == [.replace(.survey)]) }
        #expect(
            supervision.check(now: start, busy: stuck) == [.giveUp(StuckThread(part: .survey, seconds: 360))])
        #expect(supervision.check(now: start, busy: stuck) == [], "it is said once")
    }

    @Test("what cannot be replaced ends the process, with the reason")
    func givesUp() {
        for part in [Supervision.Part.read, .background] {
            var supervision = Supervision()
            let since = start - part.patience - .seconds(1)
            let actions = supervision.check(now: start) { $0 == part ? since : nil }
            let stuck = StuckThread(part: part, seconds: part.patience.nanoseconds / 1_000_000_000 + 1)
            #expect(actions == [.giveUp(stuck)])
            #expect("\(stuck)".hasPrefix("the thread metad-\(part.rawValue) has not got on for "))
        }
    }

    @Test("a worker says since when it is busy, and one that is abandoned takes nothing more and ends by itself")
    func abandoned() {
        let isBusy = DispatchSemaphore(value: 0)
        let goOn = DispatchSemaphore(value: 0)
        let worker = BatchWorker<Int>(name: "test") { batch in
            isBusy.signal()
            goOn.wait()
            #expect(batch == [1])
        }
        #expect(worker.busySince == nil)
        worker.submit(1)
        isBusy.wait()
        #expect(worker.busySince != nil)
        worker.submit(2)
        worker.abandon()
        worker.submit(3)
        #expect(worker.depth == 0)
        goOn.signal()
        // It ends as after `stop`, which waits for it.
        worker.stop()
        #expect(worker.busySince == nil)
    }
}
