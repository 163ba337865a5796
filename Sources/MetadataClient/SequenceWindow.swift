import DequeModule
import MetadataModel

/// The sequence numbers of one session: which may be used, and below which all are answered (Diss. §6.3).
///
/// The state machine keeps the results of a bounded window of sequence numbers, so a number is given out only while it lies
/// less than `width` above the lowest one that still waits for its answer.
struct SequenceWindow: Hashable, Sendable {
    let width: UInt64
    /// All numbers below are answered, or given up for good. Travels with each write.
    private(set) var acknowledgedBelow: UInt64 = 1
    /// Whether the number `acknowledgedBelow + i` is answered. Invariant: empty, or the first is false.
    private var answered: Deque<Bool> = []

    init(width: UInt64 = Limits.sessionWindow) {
        precondition(width > 0, "a window of no sequence numbers lets nothing through")
        self.width = width
    }

    /// The number that `take` gives out next.
    var next: UInt64 { acknowledgedBelow + UInt64(answered.count) }

    var hasRoom: Bool { UInt64(answered.count) < width }

    /// Gives out the next number; nil while the window is full.
    mutating func take() -> UInt64? {
        guard hasRoom else { return nil }
        let sequence = next
        answered.append(false)
        return sequence
    }

    /// The answer to a number is known, or nobody waits for it any more. In the latter case the cluster refuses an attempt
    /// that is still on its way: the number lies below `acknowledgedBelow` by then, or its result is stored in vain.
    mutating func settle(_ sequence: UInt64) {
        precondition(sequence < next, "sequence \(sequence) was not given out; the next is \(next)")
        guard sequence >= acknowledgedBelow else { return }
        answered[Int(sequence - acknowledgedBelow)] = true
        while answered.first == true {
            answered.removeFirst()
            acknowledgedBelow += 1
        }
    }
}
