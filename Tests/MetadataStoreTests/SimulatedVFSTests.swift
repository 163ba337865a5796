import Foundation
import GRDB
import MetadataStore
import RaftCore
import SimulatedDisk
import Testing

/// SQLite on a simulated disk: what it promises holds there, and what it does not promise shows.
@Suite("SQLite on a simulated disk")
struct SimulatedVFSTests {
    private func open(_ vfs: SimulatedVFS, synchronous: String = "NORMAL", path: String = "/db") throws -> DatabaseQueue
    {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try database.execute(sql: "PRAGMA synchronous = \(synchronous)")
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        // Locks are held from one call to the next.
        configuration.allowsUnsafeTransactions = true
        let queue = try DatabaseQueue(path: "file:\(path)?vfs=\(vfs.name)", configuration: configuration)
        _ = try queue.inDatabase { try String.fetchOne($0, sql: "PRAGMA journal_mode = WAL") }
        return queue
    }

    private func integer(_ queue: DatabaseQueue, _ sql: String) throws -> Int {
        try queue.inDatabase { try Int.fetchOne($0, sql: sql) ?? -1 }
    }

    private func run(_ queue: DatabaseQueue, _ sql: String) throws { try queue.inDatabase { try $0.execute(sql: sql) } }

    /// Transfers between 40 accounts, whose sum stays 0, with a counter of the transfers, until the power fails.
    private func transfers(seed: UInt64, synchronous: String) throws -> (isConsistent: Bool, lost: Int, torn: Int) {
        let vfs = SimulatedVFS(seed: seed)
        var random = SeededGenerator(seed: seed)
        var (acknowledged, checkpointed) = (0, 0)
        do {
            let queue = try open(vfs, synchronous: synchronous)
            try run(queue, "CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, note BLOB)")
            try run(queue, "CREATE TABLE total (count INTEGER); INSERT INTO total VALUES (0)")
            for id in 0..<40 { try run(queue, "INSERT INTO account VALUES (\(id), 0, zeroblob(300))") }
            try run(queue, "PRAGMA wal_checkpoint(TRUNCATE)")
            let checkpoints = try open(vfs, synchronous: synchronous)
            vfs.volume.powerFailsAfter = 20 + random.below(400)
            while true {
                try run(
                    queue,
                    """
                    BEGIN IMMEDIATE; UPDATE total SET count = count + 1;
                    UPDATE account SET amount = amount + 1 WHERE id = \(random.below(40));
                    UPDATE account SET amount = amount - 1, note = zeroblob(\(random.below(600)))
                        WHERE id = \(random.below(40));
                    COMMIT
                    """)
                acknowledged += 1
                guard random.below(10) == 0 else { continue }
                if try integer(checkpoints, "PRAGMA wal_checkpoint(PASSIVE)") == 0 { checkpointed = acknowledged }
            }
        } catch let error as DatabaseError {
            #expect(error.resultCode == .SQLITE_IOERR, "\(error)")
        }
        vfs.volume.losePower(&random)
        do {
            let queue = try open(vfs)
            let check = try queue.inDatabase { try String.fetchOne($0, sql: "PRAGMA integrity_check") }
            let sum = try integer(queue, "SELECT sum(amount) FROM account")
            let count = try integer(queue, "SELECT count FROM total")
            // The transfer that the power interrupted may have been committed.
            let isConsistent = check == "ok" && sum == 0 && (checkpointed...acknowledged + 1).contains(count)
            return (isConsistent, acknowledged - count, vfs.volume.counts.tornFiles)
        } catch let error as DatabaseError {
            #expect(synchronous == "OFF", "\(error)")
            return (false, acknowledged, vfs.volume.counts.tornFiles)
        }
    }

    @Test("NORMAL survives 200 losses of power, at a checkpoint or later; OFF does not (so the disk can do harm)")
    func powerLosses() throws {
        var (lost, torn) = (0, 0)
        for seed in 0..<UInt64(200) {
            let result = try transfers(seed: seed, synchronous: "NORMAL")
            #expect(result.isConsistent, "seed \(seed)")
            lost += max(0, result.lost)
            torn += result.torn
        }
        #expect(lost > 100, "nothing was lost: the losses did not take place")
        #expect(torn > 100)
        let damaged = try (0..<UInt64(60)).count { seed in try !transfers(seed: seed, synchronous: "OFF").isConsistent }
        #expect(damaged > 20, "\(damaged) of 60 without syncs were damaged")
        // What a commit with FULL has acknowledged is there.
        for seed in 0..<UInt64(60) {
            let result = try transfers(seed: seed, synchronous: "FULL")
            #expect(result.isConsistent && result.lost <= 0, "seed \(seed)")
        }
    }

    @Test("one seed gives one history, down to each operation; another seed another")
    func deterministic() throws {
        func trace(_ seed: UInt64) throws -> UInt64 {
            let vfs = SimulatedVFS(seed: seed)
            var random = SeededGenerator(seed: seed)
            for _ in 0..<3 {
                let queue = try open(vfs)
                try run(queue, "CREATE TABLE IF NOT EXISTS a (x INTEGER)")
                for _ in 0..<10 { try run(queue, "INSERT INTO a VALUES (\(random.below(1_000)))") }
                if random.below(2) == 0 { try run(queue, "PRAGMA wal_checkpoint(PASSIVE)") }
                vfs.volume.losePower(&random)
            }
            let queue = try open(vfs)
            try run(queue, "CREATE TABLE IF NOT EXISTS a (x INTEGER)")
            return vfs.volume.trace ^ UInt64(try integer(queue, "SELECT coalesce(sum(x), 0) FROM a"))
        }
        let traces = try (0..<UInt64(20)).map(trace)
        #expect(try (0..<UInt64(20)).map(trace) == traces)
        #expect(Set(traces).count > 10)
    }

    @Test("a writer keeps another out, a reader keeps its moment, and neither waits for the other")
    func locks() throws {
        let vfs = SimulatedVFS(seed: 1)
        let (writer, other, reader) = (try open(vfs), try open(vfs), try open(vfs))
        try run(writer, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)")
        try run(reader, "BEGIN")
        #expect(try integer(reader, "SELECT x FROM a") == 1)
        try run(writer, "BEGIN IMMEDIATE; UPDATE a SET x = 2")
        #expect(throws: DatabaseError.self) { try run(other, "BEGIN IMMEDIATE") }
        try run(writer, "COMMIT")
        #expect(try integer(reader, "SELECT x FROM a") == 1)
        #expect(try integer(other, "SELECT x FROM a") == 2)
        try run(other, "BEGIN IMMEDIATE; UPDATE a SET x = 3; COMMIT")
        try run(reader, "COMMIT")
        #expect(try integer(reader, "SELECT x FROM a") == 3)
    }

    @Test("a reader holds a checkpoint back; without it the WAL is emptied")
    func checkpoints() throws {
        let vfs = SimulatedVFS(seed: 1)
        let (writer, checkpoints, reader) = (try open(vfs), try open(vfs), try open(vfs))
        try run(writer, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)")
        try run(reader, "BEGIN")
        #expect(try integer(reader, "SELECT x FROM a") == 1)
        try run(writer, "UPDATE a SET x = 2")
        let held = try checkpoints.inDatabase { try Row.fetchOne($0, sql: "PRAGMA wal_checkpoint(PASSIVE)") }
        #expect((held?[2] as Int?) ?? 0 < (held?[1] as Int?) ?? 0)
        #expect(try integer(checkpoints, "PRAGMA wal_checkpoint(TRUNCATE)") == 1)
        try run(reader, "COMMIT")
        #expect(try integer(checkpoints, "PRAGMA wal_checkpoint(TRUNCATE)") == 0)
        #expect(vfs.volume.contents("/db-wal")?.isEmpty == true)
        #expect(try integer(reader, "SELECT x FROM a") == 2)
    }

    @Test("a process that ends loses nothing, and its connections disturb the next one no more")
    func processEnds() throws {
        let vfs = SimulatedVFS(seed: 1)
        let before = try open(vfs)
        try run(before, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7)")
        try run(before, "BEGIN IMMEDIATE; UPDATE a SET x = 8")
        let wal = vfs.volume.contents("/db-wal")
        vfs.volume.endProcess()
        #expect(throws: DatabaseError.self) { try run(before, "COMMIT") }
        #expect(vfs.volume.contents("/db-wal") == wal)
        let after = try open(vfs)
        #expect(try integer(after, "SELECT x FROM a") == 7)
        try run(after, "UPDATE a SET x = 9")
        // Closing the last handles of the old process must not touch what the new one has.
        try? before.close()
        #expect(try integer(after, "SELECT x FROM a") == 9)
    }

    @Test("a full disk refuses what makes files longer, and takes it when there is room again")
    func fullDisk() throws {
        let vfs = SimulatedVFS(seed: 1)
        let queue = try open(vfs)
        try run(queue, "CREATE TABLE a (x BLOB)")
        vfs.volume.capacityBytes = 200_000
        var failure: DatabaseError?
        for _ in 0..<100 where failure == nil {
            do { try run(queue, "INSERT INTO a VALUES (zeroblob(3000))") } catch let error as DatabaseError {
                failure = error
            }
        }
        #expect(failure?.resultCode == .SQLITE_FULL)
        #expect(vfs.volume.counts.fullDisk > 0)
        vfs.volume.capacityBytes = .max
        try run(queue, "INSERT INTO a VALUES (zeroblob(3000))")
        #expect(try queue.inDatabase { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
    }

    @Test("a flipped bit is read as it lies there")
    func flippedBit() throws {
        let vfs = SimulatedVFS(seed: 1)
        let queue = try open(vfs)
        try run(
            queue, "CREATE TABLE a (x TEXT); INSERT INTO a VALUES ('needlehaystack'); PRAGMA wal_checkpoint(TRUNCATE)")
        let file = vfs.volume.contents("/db") ?? []
        let needle = Array("needlehaystack".utf8)
        let offset = try #require(file.indices.first { file[$0...].starts(with: needle) })
        #expect(vfs.volume.flipBit("/db", offset: offset, bit: 0))
        let again = try open(vfs)
        #expect(try again.inDatabase { try String.fetchOne($0, sql: "SELECT x FROM a") } == "oeedlehaystack")
        #expect(!vfs.volume.flipBit("/none", offset: 0, bit: 0))
    }

    @Test("two machines have nothing in common")
    func isolated() throws {
        let (one, two) = (SimulatedVFS(seed: 1), SimulatedVFS(seed: 1))
        let (first, second) = (try open(one), try open(two))
        try run(first, "CREATE TABLE a (x INTEGER)")
        try run(second, "CREATE TABLE a (x TEXT)")
        var random = SeededGenerator(seed: 1)
        one.volume.losePower(&random)
        try run(second, "INSERT INTO a VALUES ('there')")
        #expect(two.volume.counts.powerLosses == 0)
    }

    @Test("time passes in the simulation only, also while a connection waits for a lock")
    func time() throws {
        let vfs = SimulatedVFS(seed: 1)
        vfs.volume.nowMicroseconds = 86_400_000_000
        let (holder, waiting) = (try open(vfs), try open(vfs))
        #expect(try waiting.inDatabase { try String.fetchOne($0, sql: "SELECT date()") } == "1970-01-02")
        try run(holder, "CREATE TABLE a (x INTEGER)")
        try run(holder, "BEGIN IMMEDIATE")
        try run(waiting, "PRAGMA busy_timeout = 3600000")
        let start = ContinuousClock.now
        #expect(throws: DatabaseError.self) { try run(waiting, "BEGIN IMMEDIATE") }
        #expect(ContinuousClock.now - start < .seconds(60))
        #expect(vfs.volume.nowMicroseconds >= 86_400_000_000 + 3_500_000_000)
    }

    @Test("a volume that is used on another thread ends the program")
    func thread() async {
        await #expect(processExitsWith: .failure) {
            let vfs = SimulatedVFS(seed: 1)
            _ = vfs.exists("/db")
            await withCheckedContinuation { continuation in
                let thread = Thread {
                    _ = vfs.exists("/db")
                    continuation.resume()
                }
                thread.start()
            }
        }
    }
}
