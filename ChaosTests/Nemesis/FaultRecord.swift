/// A fault that struck: when, whom, how it is known, and what it meant for clients.
struct FaultRecord: Sendable {
    var name: String
    /// Nanoseconds since the beginning of the run.
    var began: UInt64
    var ended: UInt64
    var nodes: [Int] = []
    /// What shows that it really happened.
    var evidence = ""
    /// The longest time without an acknowledged write, and without a linearizable read, from when it began; nil: not measured.
    var writesUnavailable: Duration?
    var readsUnavailable: Duration?
}

/// Why a fault counts as a finding: it was planned and did not happen, or something did not come back.
struct FaultFailure: Error, CustomStringConvertible {
    var description: String
}

/// When clients got what they asked for.
struct Availability {
    /// Sorted.
    private let writes: [UInt64]
    private let reads: [UInt64]
    private let end: UInt64

    /// - Parameter end: of the load.
    init(_ calls: [RecordedCall], end: UInt64) {
        let answered = calls.filter(\.isAnswered)
        writes = answered.filter(\.isWrite).map(\.returned).sorted()
        reads = answered.filter(\.isLinearizableRead).map(\.returned).sorted()
        self.end = end
    }

    /// How long a fault, whose effects may outlast it by a time, kept writes and reads from being answered.
    func measure(_ record: inout FaultRecord, outlasting: Duration = .seconds(4)) {
        let last = min(end, record.ended + UInt64(outlasting.components.seconds) * 1_000_000_000)
        record.writesUnavailable = Self.longestGap(writes, from: record.began, to: last)
        record.readsUnavailable = Self.longestGap(reads, from: record.began, to: last)
    }

    private static func longestGap(_ times: [UInt64], from begin: UInt64, to end: UInt64) -> Duration {
        var (last, longest) = (begin, UInt64(0))
        for time in times where time > begin {
            longest = max(longest, min(time, end) - min(last, end))
            guard time < end else { return .nanoseconds(Int64(longest)) }
            last = time
        }
        return .nanoseconds(Int64(max(longest, max(end, last) - last)))
    }
}
