internal import RaftCore

/// A file of a simulated volume: the bytes that programs see, and what a power loss may make of them.
///
/// Changes are made in place, and each is remembered with what it replaced until a sync makes it durable. So an append and
/// a sync copy nothing twice, and only a power loss has to take back and do again.
final class VolumeFile {
    /// The unit that is written whole or not at all. Far below SQLite's pages, so that pages are torn.
    static let sectorBytes = 512

    private(set) var bytes: [UInt8] = []
    /// What those who have it open share; of one life of the machine.
    private(set) var sharing = FileSharing()
    /// Oldest first. Once no change is abandoned, those that were synced are forgotten.
    private var changes: [Change] = []

    private struct Change {
        enum Kind {
            case write(count: Int)
            /// To `offset`.
            case resize
        }

        enum Fate {
            case unsynced
            case synced
            /// A sync failed and let go of it: later syncs succeed without it (fsyncgate).
            case abandoned
        }

        var kind: Kind
        var offset: Int
        /// What stood from `offset` on, as far as the change took it away.
        var replaced: [UInt8]
        var sizeBefore: Int
        var fate = Fate.unsynced
    }

    var count: Int { bytes.count }
    var hasUnsynced: Bool { changes.contains { $0.fate != .synced } }

    // MARK: As programs see it

    /// Copies from `offset` on into `buffer`; returns how much there was.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = max(0, min(buffer.count, bytes.count - offset))
        guard count > 0 else { return 0 }
        bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
        return count
    }

    func write(_ new: UnsafeRawBufferPointer, at offset: Int) {
        let overlap = offset..<max(offset, min(bytes.count, offset + new.count))
        changes.append(
            Change(
                kind: .write(count: new.count), offset: offset, replaced: Array(bytes[clamping: overlap]),
                sizeBefore: bytes.count))
        put(new, at: offset)
    }

    func resize(to size: Int) {
        guard size != bytes.count else { return }
        changes.append(
            Change(
                kind: .resize, offset: size, replaced: Array(bytes[clamping: size..<max(size, bytes.count)]),
                sizeBefore: bytes.count))
        setSize(size)
    }

    func sync() {
        if changes.contains(where: { $0.fate == .abandoned }) {
            for position in changes.indices where changes[position].fate == .unsynced {
                changes[position].fate = .synced
            }
        } else {
            changes.removeAll(keepingCapacity: true)
        }
    }

    /// The kernel has reported the error and calls the pages clean.
    func failSync() {
        for position in changes.indices where changes[position].fate == .unsynced {
            changes[position].fate = .abandoned
        }
    }

    /// Changes a byte at rest, as a bad sector does.
    func flip(_ mask: UInt8, at offset: Int) { bytes[offset] ^= mask }

    /// Nobody has it open any more.
    func endSharing() { sharing = FileSharing() }

    // MARK: The power loss

    /// Takes back every change that was not synced, then does again what the generator picks, down to single sectors.
    func losePower(_ generator: inout SeededGenerator) {
        guard !changes.isEmpty else { return }
        let redo = takeBack()
        // Whole outcomes are common, and so is every mixture.
        let keptPerMille = [0, 0, 1_000, 500, 100, 900][generator.below(6)]
        // What a file system shows where a file grew and its bytes were never written.
        let filler: UInt8 = generator.below(2) == 0 ? 0 : 0xA5
        for (change, written) in redo {
            let isCertain = change.fate == .synced
            func isKept() -> Bool { isCertain || generator.below(1_000) < keptPerMille }
            switch change.kind {
            case .resize:
                if isKept() { setSize(change.offset, filler: filler) }
            case .write:
                var start = 0
                while start < written.count {
                    let end = min(written.count, Self.sectorEnd(change.offset + start) - change.offset)
                    if isKept() {
                        written.withUnsafeBytes {
                            put(UnsafeRawBufferPointer(rebasing: $0[start..<end]), at: change.offset + start, filler)
                        }
                    }
                    start = end
                }
            }
        }
        changes = []
    }

    /// Goes back to what is durable; returns what was taken back, oldest first, with the bytes that each had written.
    private func takeBack() -> [(change: Change, written: [UInt8])] {
        var taken: [(change: Change, written: [UInt8])] = []
        for change in changes.reversed() {
            var written: [UInt8] = []
            if case .write(let count) = change.kind { written = Array(bytes[change.offset..<change.offset + count]) }
            taken.append((change, written))
            setSize(change.sizeBefore)
            change.replaced.withUnsafeBytes { put($0, at: change.offset) }
        }
        return taken.reversed()
    }

    private static func sectorEnd(_ offset: Int) -> Int { (offset / sectorBytes + 1) * sectorBytes }

    private func put(_ new: UnsafeRawBufferPointer, at offset: Int, _ filler: UInt8 = 0) {
        guard !new.isEmpty else { return }
        if bytes.count < offset { setSize(offset, filler: filler) }
        let inside = min(new.count, bytes.count - offset)
        if inside > 0 {
            bytes.withUnsafeMutableBytes { live in
                UnsafeMutableRawBufferPointer(rebasing: live[offset..<offset + inside])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: new[..<inside]))
            }
        }
        if inside < new.count { bytes.append(contentsOf: new[inside...]) }
    }

    private func setSize(_ size: Int, filler: UInt8 = 0) {
        if size < bytes.count {
            bytes.removeLast(bytes.count - size)
        } else if size > bytes.count {
            bytes.append(contentsOf: repeatElement(filler, count: size - bytes.count))
        }
    }
}

extension [UInt8] {
    /// The part of `range` that exists.
    fileprivate subscript(clamping range: Range<Int>) -> ArraySlice<UInt8> { self[range.clamped(to: 0..<count)] }
}
