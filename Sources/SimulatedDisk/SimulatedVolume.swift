package import RaftCore

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The disk of one simulated node, in memory: files whose bytes and names are durable only once they were synced, and
/// whose unsynced rest is, at a power loss, for a seeded generator to decide.
///
/// Bytes: `VolumeFile`. Names are kept in the order of a journal: creations, renames and removals survive up to some point
/// of that order. Syncing a file covers the creation of its name (as ext4 and XFS do), `syncDirectory` covers everything.
/// The files of the log lie on a disk that promises less, `SimulatedFileSystem`, which says why there are two.
///
/// `@unchecked Sendable`: it belongs to the one thread that made it, and every operation checks that it is on that thread.
package final class SimulatedVolume: @unchecked Sendable {
    /// Why an operation did not happen.
    enum Failure: Error, Hashable {
        case notFound
        /// The volume has no room left.
        case full
        /// A planned fault, or the power is off.
        case inputOutput
    }

    private enum Operation: UInt64 {
        case create = 1, rename, remove, write, resize, sync, syncDirectory, read, sleep
    }

    private enum NameChange {
        case bind(String, VolumeFile)
        case rename(String, String)
        case remove(String)
    }

    /// Bytes that all files may have together.
    package var capacityBytes = Int.max
    /// The power goes off in front of the n-th change from now (0: the next one): writes, syncs, changes of names. It is up to
    /// what follows whether only the process ends there (`endProcess`) or what was not synced is lost, too (`losePower`).
    package var powerFailsAfter: Int?
    /// The n-th sync from now (0: the next one) fails, and what it should have made durable may never be.
    package var syncFailsAfter: Int?
    /// What happened here, for a person and for tests that have to know that a fault took place.
    package private(set) var counts = Counts()
    /// Depends on every operation and its place, not on the bytes: equal for equal seeds. (SQLite draws the salts of its
    /// WAL from a generator that belongs to the process.)
    package private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    /// Simulated time. Sleeping moves it on.
    package var nowMicroseconds: UInt64 = 0

    package struct Counts: Hashable, Sendable {
        package var reads = 0
        package var writes = 0
        package var writtenBytes = 0
        package var syncs = 0
        package var failedSyncs = 0
        package var fullDisk = 0
        package var powerLosses = 0
        package var tornFiles = 0
        package var flippedBits = 0
    }

    /// Counts the processes that have used the volume: a handle of an earlier one does nothing any more.
    private(set) var life = 0
    private(set) var isPoweredOff = false
    private var names: [String: VolumeFile] = [:]
    private var durableNames: [String: VolumeFile] = [:]
    private var nameChanges: [NameChange] = []
    private var temporaryFiles = 0
    private var generator: SeededGenerator
    private let owner = pthread_self()

    package init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    // MARK: Power and damage

    /// The process that used the volume has ended, however it did: what it wrote is there, synced or not; its locks and its
    /// shared memory are gone, and its handles do nothing any more. The next one finds the volume usable.
    package func endProcess() {
        checkThread()
        life += 1
        isPoweredOff = false
        powerFailsAfter = nil
        for file in names.values { file.endSharing() }
    }

    /// The power goes. What was synced stays; of the rest `generator` picks. The volume is usable again at once.
    package func losePower(_ generator: inout SeededGenerator) {
        endProcess()
        counts.powerLosses += 1
        syncFailsAfter = nil
        for change in nameChanges.prefix(generator.below(nameChanges.count + 1)) { apply(change, to: &durableNames) }
        nameChanges = []
        names = durableNames
        for path in names.keys.sorted() {
            guard let file = names[path] else { continue }
            if file.hasUnsynced { counts.tornFiles += 1 }
            file.losePower(&generator)
        }
    }

    /// Turns a bit of a file at rest. Returns false when there is no such byte.
    package func flipBit(_ path: String, offset: Int, bit: Int) -> Bool {
        checkThread()
        guard let file = names[path], file.bytes.indices.contains(offset) else { return false }
        file.flip(1 << UInt8(bit & 7), at: offset)
        counts.flippedBits += 1
        return true
    }

    // MARK: What is there

    package var paths: [String] { names.keys.sorted() }

    package var usedBytes: Int { names.values.reduce(0) { $0 + $1.count } }

    /// The bytes as programs see them; nil when there is no such file.
    package func contents(_ path: String) -> [UInt8]? { names[path]?.bytes }

    /// Puts a whole file there, durably: what a transfer brought.
    package func store(_ bytes: [UInt8], at path: String) {
        checkThread()
        let file = VolumeFile()
        bytes.withUnsafeBytes { file.write($0, at: 0) }
        file.sync()
        change(.bind(path, file))
        settle(through: nameChanges.count - 1)
    }

    func lookUp(_ path: String) -> VolumeFile? {
        checkThread()
        return isPoweredOff ? nil : names[path]
    }

    // MARK: Changes, each of which happens or throws

    /// Makes an empty file; one that had the name loses it.
    func create(_ path: String) throws(Failure) -> VolumeFile {
        try spend(.create, path, 0)
        let file = VolumeFile()
        change(.bind(path, file))
        return file
    }

    func rename(_ from: String, to target: String) throws(Failure) {
        try spend(.rename, from, 0)
        guard names[from] != nil else { throw .notFound }
        change(.rename(from, target))
    }

    func remove(_ path: String) throws(Failure) {
        try spend(.remove, path, 0)
        guard names[path] != nil else { throw .notFound }
        change(.remove(path))
    }

    func write(_ bytes: UnsafeRawBufferPointer, to file: VolumeFile, at offset: Int) throws(Failure) {
        try spend(.write, "", offset)
        let growth = offset + bytes.count - file.count
        guard growth <= 0 || hasRoom(for: growth) else {
            counts.fullDisk += 1
            throw .full
        }
        counts.writes += 1
        counts.writtenBytes += bytes.count
        file.write(bytes, at: offset)
    }

    func resize(_ file: VolumeFile, to size: Int) throws(Failure) {
        try spend(.resize, "", size)
        guard size <= file.count || hasRoom(for: size - file.count) else { throw .full }
        file.resize(to: size)
    }

    /// Makes a file's bytes durable, and its name if it was new.
    func sync(_ file: VolumeFile) throws(Failure) {
        try spend(.sync, "", file.count)
        try countSync { file.failSync() }
        file.sync()
        let creation = nameChanges.lastIndex {
            if case .bind(_, let bound) = $0 { bound === file } else { false }
        }
        if let creation { settle(through: creation) }
    }

    func syncDirectory() throws(Failure) {
        try spend(.syncDirectory, "", 0)
        try countSync {}
        settle(through: nameChanges.count - 1)
    }

    func noteRead(_ offset: Int) throws(Failure) {
        checkThread()
        guard !isPoweredOff else { throw .inputOutput }
        counts.reads += 1
        note(.read, "", offset)
    }

    func hasRoom(for bytes: Int) -> Bool {
        capacityBytes == .max || usedBytes + bytes <= capacityBytes
    }

    // MARK: What else SQLite asks of its machine

    func nextTemporaryNumber() -> Int {
        temporaryFiles += 1
        return temporaryFiles
    }

    /// As SQLite counts: since noon of a Monday in 4714 BC. The simulation begins in 1970.
    var julianMilliseconds: UInt64 { 210_866_760_000_000 + nowMicroseconds / 1_000 }

    func sleep(microseconds: UInt64) {
        nowMicroseconds += microseconds
        note(.sleep, "", Int(microseconds))
    }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        checkThread()
        for offset in buffer.indices { buffer[offset] = UInt8(truncatingIfNeeded: generator.next()) }
    }

    // MARK: Helpers

    private func checkThread() {
        precondition(
            pthread_equal(owner, pthread_self()) != 0, "a simulated volume was used on a thread that is not its own")
    }

    private func spend(_ operation: Operation, _ path: String, _ place: Int) throws(Failure) {
        checkThread()
        if let left = powerFailsAfter {
            if left == 0 { isPoweredOff = true }
            powerFailsAfter = max(0, left - 1)
        }
        guard !isPoweredOff else { throw .inputOutput }
        note(operation, path, place)
    }

    private func countSync(_ onFailure: () -> Void) throws(Failure) {
        if let left = syncFailsAfter {
            syncFailsAfter = left == 0 ? nil : left - 1
            if left == 0 {
                counts.failedSyncs += 1
                onFailure()
                throw .inputOutput
            }
        }
        counts.syncs += 1
    }

    private func note(_ operation: Operation, _ path: String, _ place: Int) {
        for byte in path.utf8 { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01B3 }
        trace = (trace ^ operation.rawValue ^ UInt64(bitPattern: Int64(place)) << 8) &* 0x100_0000_01B3
    }

    private func change(_ change: NameChange) {
        nameChanges.append(change)
        apply(change, to: &names)
    }

    private func settle(through position: Int) {
        for change in nameChanges.prefix(position + 1) { apply(change, to: &durableNames) }
        nameChanges.removeFirst(position + 1)
    }

    private func apply(_ change: NameChange, to names: inout [String: VolumeFile]) {
        switch change {
        case .bind(let path, let file): names[path] = file
        case .rename(let from, let target): names[target] = names.removeValue(forKey: from)
        case .remove(let path): names[path] = nil
        }
    }
}
