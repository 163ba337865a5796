import MetadataClient
import MetadataModel
import Synchronization

/// Counts from the beginning of a run, the same for all that record it.
struct RunClock: Sendable {
    private let start = ContinuousClock.now

    /// Nanoseconds since the beginning.
    var now: UInt64 { start.duration(to: .now).wholeNanoseconds }

    func sleep(until nanoseconds: UInt64) async throws {
        try await Task.sleep(until: start + .nanoseconds(Int64(nanoseconds)), clock: .continuous)
    }
}

/// What all clients of a round did and saw, in the order in which the answers came.
final class HistoryRecorder: Sendable {
    /// What a watch was told of, up to and with a version.
    struct Delivery: Sendable {
        var watch: String
        var events: [ChangeEvent]
        var through: Version
        /// The watch begins here, or begins anew, because what came before is not known any more; nothing is delivered.
        var isStart = false
    }

    let clock: RunClock
    private let calls = Mutex<[RecordedCall]>([])
    private let deliveries = Mutex<[Delivery]>([])

    init(clock: RunClock) { self.clock = clock }

    func append(_ call: RecordedCall) { calls.withLock { $0.append(call) } }
    func append(_ delivery: Delivery) { deliveries.withLock { $0.append(delivery) } }

    var allCalls: [RecordedCall] { calls.withLock { $0 } }
    var allDeliveries: [Delivery] { deliveries.withLock { $0 } }

    /// Times a call, whatever comes of it.
    @discardableResult
    func record(
        _ action: RecordedCall.Action, by lane: Int,
        _ body: () async throws -> RecordedCall.Ending
    ) async -> RecordedCall.Ending {
        let invoked = clock.now
        let ending = await Self.ending(body)
        append(RecordedCall(lane: lane, action: action, invoked: invoked, returned: clock.now, ending: ending))
        return ending
    }

    private static func ending(_ body: () async throws -> RecordedCall.Ending) async -> RecordedCall.Ending {
        do {
            return try await body()
        } catch let error as MetadataError {
            return RecordedCall.Ending(error)
        } catch {
            return .unknown("\(error)")
        }
    }
}
