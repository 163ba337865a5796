import RaftCore
import Testing

@testable import RaftLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Power failures between every two operations of the file system, with every fate of what was not synced.
@Suite struct CrashTests {
    static let directory = "/data/log"
    /// Small enough that a few entries fill a segment.
    static let options = LogOptions(segmentBytes: 4096 + 1024, fillStepBytes: 512)

    /// A story and its name, which is what a failing test prints.
    struct Story: CustomTestStringConvertible, Sendable {
        var name: String
        var steps: @Sendable () -> [LogStep]
        var testDescription: String { name }
    }

    static let stories = [
        Story(name: "append") {
            [
                .write([Persist(sequence: 1, entries: entries(1...3, term: 1), hardState: hardState(1))]),
                .write([Persist(sequence: 2, entries: entries(4...4, term: 1, bytes: 700))]),
                .write([
                    Persist(sequence: 3, entries: entries(5...6, term: 1)),
                    Persist(sequence: 4, entries: entries(7...7, term: 1)),
                ]),
            ]
        },
        Story(name: "one group over several segments") {
            [
                .write([Persist(sequence: 1, entries: entries(1...2, term: 1), hardState: hardState(1))]),
                .write([Persist(sequence: 2, entries: entries(3...30, term: 1))]),
                .write([
                    Persist(sequence: 3, entries: entries(31...33, term: 1)),
                    Persist(sequence: 4, hardState: hardState(2, vote: 3)),
                ]),
            ]
        },
        Story(name: "truncate within a segment") {
            [
                .write([Persist(sequence: 1, entries: entries(1...6, term: 1), hardState: hardState(1))]),
                .write([
                    Persist(
                        sequence: 2, truncateFrom: LogIndex(4), entries: entries(4...5, term: 2),
                        hardState: hardState(2))
                ]),
                .write([Persist(sequence: 3, entries: entries(6...7, term: 2))]),
            ]
        },
        Story(name: "truncate across segments") {
            [
                .write([Persist(sequence: 1, entries: entries(1...40, term: 1), hardState: hardState(1))]),
                .write([
                    Persist(
                        sequence: 2, truncateFrom: LogIndex(7), entries: entries(7...9, term: 2),
                        hardState: hardState(2))
                ]),
                .write([
                    Persist(
                        sequence: 3, truncateFrom: LogIndex(8), entries: entries(8...30, term: 3),
                        hardState: hardState(3, vote: 1))
                ]),
                .write([
                    Persist(
                        sequence: 4, truncateFrom: LogIndex(1), entries: entries(1...2, term: 4),
                        hardState: hardState(4))
                ]),
            ]
        },
        Story(name: "truncate where a segment begins") {
            [
                .write([Persist(sequence: 1, entries: entries(1...4, term: 1, bytes: 220), hardState: hardState(1))]),
                .write([
                    Persist(
                        sequence: 2, truncateFrom: LogIndex(4), entries: entries(4...6, term: 2),
                        hardState: hardState(2))
                ]),
            ]
        },
        Story(name: "truncate and append in one group") {
            [
                .write([Persist(sequence: 1, entries: entries(1...5, term: 1), hardState: hardState(1))]),
                .write([
                    Persist(sequence: 2, entries: entries(6...8, term: 1)),
                    Persist(
                        sequence: 3, truncateFrom: LogIndex(7), entries: entries(7...7, term: 2),
                        hardState: hardState(2)),
                    Persist(
                        sequence: 4, truncateFrom: LogIndex(3), entries: entries(3...4, term: 3),
                        hardState: hardState(3)),
                ]),
            ]
        },
        Story(name: "reset") {
            [
                .write([Persist(sequence: 1, entries: entries(1...30, term: 1), hardState: hardState(1))]),
                .write([Persist(sequence: 2, reset: position(100, 2), hardState: hardState(2))]),
                .write([Persist(sequence: 3, entries: entries(101...120, term: 2))]),
                .write([Persist(sequence: 4, reset: position(110, 2), entries: entries(111...112, term: 2))]),
            ]
        },
        Story(name: "reset to where a segment begins") {
            [
                .write([Persist(sequence: 1, entries: entries(1...8, term: 1), hardState: hardState(1))]),
                .write([Persist(sequence: 2, entries: entries(9...30, term: 1))]),
                .write([
                    Persist(sequence: 3, reset: position(8, 2), hardState: hardState(2)),
                    Persist(sequence: 4, entries: entries(9...9, term: 2)),
                ]),
            ]
        },
        Story(name: "compact") {
            [
                .write([Persist(sequence: 1, entries: entries(1...60, term: 1), hardState: hardState(1))]),
                .compact(position(35, 1)),
                .write([
                    Persist(
                        sequence: 2, truncateFrom: LogIndex(50), entries: entries(50...52, term: 2),
                        hardState: hardState(2))
                ]),
                .compact(position(52, 2)),
                .write([Persist(sequence: 3, entries: entries(53...54, term: 2))]),
            ]
        },
        Story(name: "hard state") {
            [
                .write([Persist(sequence: 1, hardState: hardState(1, vote: 1))]),
                .write([Persist(sequence: 2, hardState: hardState(2))]),
                .write([
                    Persist(sequence: 3, hardState: hardState(2, vote: 3)),
                    Persist(sequence: 4, hardState: hardState(3, vote: 2)),
                ]),
                .close,
            ]
        },
    ]

    /// Runs a story until it ends or the power fails; returns what must and what may be in the log then.
    private func run(
        _ steps: [LogStep], on disk: CrashingFileSystem
    ) -> (finished: Bool, acknowledged: LogModel, allowed: [LogModel], compaction: LogPosition) {
        var model = LogModel()
        var compaction = LogPosition.zero
        var allowed = [model]
        do throws(LogError) {
            let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
            for step in steps {
                switch step {
                case .write(let group):
                    allowed = LogModel.intermediates(of: group, from: model)
                    try log.write(group)
                    for persist in group { model.apply(persist) }
                    allowed = [model]
                case .compact(let position):
                    compaction = position
                    try log.compact(to: position)
                case .close:
                    log.close()
                    if disk.trace.count >= disk.powerFailsAfter ?? .max { return (false, model, allowed, compaction) }
                }
            }
            return (true, model, allowed, compaction)
        } catch {
            return (false, model, allowed, compaction)
        }
    }

    /// Opens the log and compares; then goes on writing, and opens it once more.
    private func check(
        _ disk: CrashingFileSystem, allowed: [LogModel], compaction: LogPosition, _ place: String
    ) throws {
        let (log, recovered) = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options)
        let found = recovered.model
        // Compaction removes whole segments, so it leaves the base anywhere up to the position asked for.
        let matches = allowed.contains { model in
            let isCut = found.base.index > model.base.index && found.base.index <= compaction.index
            return (isCut ? model.compacted(to: found.base) : model) == found
        }
        #expect(matches, "\(place): recovered \(summary(found)), allowed \(allowed.map(summary).sorted())")
        let last = found.entries.last?.position ?? found.base
        let term = max(found.hardState.term, last.term).next
        let more = Entry(term: term, index: last.index.next, kind: .noop, payload: [])
        try log.write([Persist(sequence: 99, entries: [more], hardState: HardState(term: term, vote: nil))])
        let after = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).recovered
        #expect(after.entries == found.entries + [more], "\(place): after going on")
        #expect(after.truncatedTail == nil, "\(place): after going on")
    }

    @Test("no acknowledged write is lost and no half of one is seen, wherever the power fails", arguments: stories)
    func everyCrashPoint(story: Story) throws {
        let fates: [CrashingFileSystem.Fate] = [.allLost, .allKept] + (1...10).map { .picked(seed: $0) }
        var point = 0
        while true {
            let before = CrashingFileSystem(directory: Self.directory)
            before.powerFailsAfter = point
            let result = run(story.steps(), on: before)
            for (number, fate) in fates.enumerated() {
                let disk = before.copy()
                disk.crash(fate)
                try check(
                    disk, allowed: result.allowed, compaction: result.compaction,
                    "\(story.name), power fails after \(point) operations, fate \(number)")
            }
            if result.finished { break }
            point += 1
        }
        #expect(point > 10, "the story was too short to say anything")
    }

    @Test("a crash during recovery is recovered from like any other", arguments: stories)
    func crashDuringRecovery(story: Story) throws {
        var interrupted = 0
        var point = 0
        while true {
            let before = CrashingFileSystem(directory: Self.directory)
            before.powerFailsAfter = point
            let result = run(story.steps(), on: before)
            for seed in UInt64(1)...3 {
                let crashed = before.copy()
                crashed.crash(.picked(seed: seed))
                for recoveryPoint in 0..<20 {
                    let disk = crashed.copy()
                    disk.powerFailsAfter = recoveryPoint
                    var recovered = false
                    do {
                        _ = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options)
                        recovered = true
                    } catch {
                        interrupted += 1
                    }
                    disk.crash(.picked(seed: seed &* 31))
                    try check(
                        disk, allowed: result.allowed, compaction: result.compaction,
                        "\(story.name), power fails after \(point) operations and \(recoveryPoint) of recovery, seed \(seed)"
                    )
                    if recovered { break }
                }
            }
            if result.finished { break }
            point += 1
        }
        #expect(interrupted > 10, "recovery was never interrupted")
    }

    @Test("what a process that died had written and not synced is synced before it is given back")
    func recoveredIsSynced() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...2, term: 1), hardState: hardState(1))])
        disk.failures[.synchronize] = ((disk.calls[.synchronize] ?? 0) + 1, EIO)
        #expect(throws: LogError.self) { try log.write([Persist(sequence: 2, entries: entries(3...3, term: 1))]) }
        // The process ends here; the machine goes on, and the page cache still has entry 3.
        let recovered = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options)
            .recovered
        #expect(recovered.entries == entries(1...3, term: 1))
        disk.crash(.allLost)
        let again = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).recovered
        #expect(again == recovered)
    }

    @Test(
        "every name is given after its file is synced, and its folder is synced before anything else (pitfall 29)",
        arguments: stories)
    func renamesAreSynced(story: Story) throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        #expect(run(story.steps(), on: disk).finished)
        var renames = 0
        for (number, operation) in disk.trace.enumerated() {
            guard case .rename(let source, _) = operation else { continue }
            renames += 1
            #expect(disk.trace[number - 1] == .synchronizeData(source))
            #expect(disk.trace[number + 1] == .synchronizeDirectory(Self.directory))
        }
        #expect(renames >= 2)
    }

    private func summary(_ model: LogModel) -> String {
        "term \(model.hardState.term) vote \(model.hardState.vote?.rawValue ?? 0) base \(model.base) entries "
            + model.entries.map { "\($0.position)" }.joined(separator: " ")
    }
}
