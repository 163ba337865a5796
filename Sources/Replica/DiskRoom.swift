/// Whether the disk has room. Two marks, so that it does not change with every file that comes and goes.
struct DiskRoom: Hashable, Sendable {
    private(set) var lowBytes: UInt64
    /// At least `lowBytes`.
    private(set) var highBytes: UInt64
    /// True from falling below the low mark to reaching the high one.
    private(set) var isLow = false

    init(lowBytes: UInt64, highBytes: UInt64) {
        precondition(lowBytes <= highBytes, "the low mark \(lowBytes) is above the high mark \(highBytes)")
        self.lowBytes = lowBytes
        self.highBytes = highBytes
    }

    /// Other marks, which count from the next measurement on.
    mutating func marks(lowBytes: UInt64, highBytes: UInt64) {
        let wasLow = isLow
        self = DiskRoom(lowBytes: lowBytes, highBytes: highBytes)
        isLow = wasLow
    }

    mutating func measured(freeBytes: UInt64) {
        isLow = freeBytes < (isLow ? highBytes : lowBytes)
    }
}
