import MetadataStore
import Resilience
import Testing

@testable import MetadataServer

@Suite("Upkeep of the database")
struct StoreUpkeepTests {
    @Test("what fails again and again rests, and is tried again afterwards")
    func rests() {
        let breaker = SharedCircuitBreaker(
            name: "store-upkeep", options: .init(failureThreshold: 2, successThreshold: 1, timeout: .seconds(30)),
            clock: ContinuousClock())
        var tries = 0
        func checkpoint(_ error: StoreError?) -> Result<Int, StoreError> {
            breaker.around("checkpoint") { () throws(StoreError) in
                tries += 1
                if let error { throw error }
                return tries
            }
        }
        let full = StoreError.diskFull(operation: "checkpoint")
        // That it was closed says nothing about the disk.
        for error in [full, .closed(operation: "checkpoint"), full] { #expect(checkpoint(error) == .failure(error)) }
        guard case .failure(.refused("checkpoint", let reason)) = checkpoint(nil) else {
            Issue.record("tried again at once")
            return
        }
        #expect(reason.hasPrefix("store-upkeep is open, retry in "))
        #expect(tries == 3)
        breaker.reset()
        #expect(checkpoint(nil) == .success(4))
        #expect(checkpoint(nil) == .success(5))
    }
}
