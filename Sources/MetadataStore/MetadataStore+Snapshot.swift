internal import MetadataModel
package import RaftCore

extension MetadataStore {
    /// Writes the state to a file: the image of one moment, while applies go on. Thread-safe.
    ///
    /// The rows are streamed from a read transaction, which ends with the writing of the file and never waits for a
    /// receiver (a slow one would pin the WAL). The file appears under its name whole and synced, or not at all.
    package func writeSnapshot(to path: String) throws(StoreError) -> SnapshotFile {
        let temporary = path + ".tmp"
        let fileSystem = location.fileSystem
        do throws(StoreError) {
            var dump = try onReader("write a snapshot") { (connection) throws(StoreError) in
                try SnapshotDump(connection, to: temporary, in: fileSystem)
            }
            // The read transaction has ended: a slow disk pins no WAL.
            let file = try dump.finish()
            try fileSystem.rename(temporary, to: path)
            try fileSystem.syncDirectory(of: path)
            return file
        } catch {
            try fileSystem.removeIfExists(temporary)
            throw error
        }
    }

    /// Reads a snapshot file to its end and checks all of it: checksums, counts, order, digest.
    package static func verifySnapshot(
        at path: String, in fileSystem: any StoreFileSystem = PosixStoreFileSystem()
    ) throws(StoreError) -> SnapshotFile {
        var reader = try SnapshotReader(path: path, in: fileSystem)
        return try reader.readAll { _ in }
    }

    /// Replaces the whole state by a snapshot's, and makes that durable before it returns: the caller cuts its log next.
    ///
    /// The file is verified before anything is touched. The rows are replaced in one transaction, so a crash leaves the
    /// old state or the new one. Readers see the old state until their next transaction. It is the caller who knows
    /// whether a snapshot is newer than the state; this replaces it also by an older one. The change feed begins anew at
    /// the snapshot's version. Called from the apply thread.
    package func installSnapshot(from path: String) throws(StoreError) -> LogPosition {
        _ = try Self.verifySnapshot(at: path, in: location.fileSystem)
        // It is gone from memory in a moment, and must not be if the install fails.
        try commit()
        checkpointer.installBegins()
        let installed: Installed
        do throws(StoreError) {
            installed = try installVerified(from: path)
        } catch {
            checkpointer.installFailed(error)
            throw error
        }
        publish(installed.state, configuration: installed.configuration, tally: installed.tally)
        checkpointer.installEnded(at: installed.state.applied)
        do throws(StoreError) {
            // The transaction is synced already. This makes the WAL short again, as far as readers let it.
            _ = try checkpoint(.automatic)
        } catch {
            // Nothing is lost by a long WAL, and the install has happened: the next checkpoint shortens it. But a sync that
            // failed is not tried again.
            guard error.isRetriable else { throw error }
        }
        return installed.state.applied
    }

    private func installVerified(from path: String) throws(StoreError) -> Installed {
        let fileSystem = location.fileSystem
        return try onWriterDroppingState("install a snapshot") { (connection) throws(StoreError) in
            // FULL syncs the WAL at the commit: this one transaction must not be lost, since no log explains it.
            try connection.set("synchronous", to: DatabaseOpening.synchronousFull)
            do throws(StoreError) {
                let installed = try connection.transaction("install a snapshot") { () throws(StoreError) in
                    try SnapshotInstall.replaceAll(connection, from: path, in: fileSystem)
                }
                try connection.set("synchronous", to: DatabaseOpening.synchronousNormal)
                return installed
            } catch {
                try connection.set("synchronous", to: DatabaseOpening.synchronousNormal)
                throw error
            }
        }
    }
}

/// The rows of one read transaction, streamed into a file.
private struct SnapshotDump {
    private let state: StateRow
    private var writer: SnapshotWriter

    /// Writes everything; nothing is durable before `finish`.
    init(_ connection: Connection, to path: String, in fileSystem: any StoreFileSystem) throws(StoreError) {
        let state = try StateStatements(connection).read()
        let rows = try RowReader(connection)
        var writer = try SnapshotWriter(path: path, in: fileSystem, state: state)
        try rows.forEachBroker(after: nil) { (broker) throws(StoreError) in
            try writer.append(.broker) { RowCoding.append(broker, to: &$0) }
            return true
        }
        try rows.forEachTopicByID { (topic) throws(StoreError) in
            try writer.append(.topic) { RowCoding.append(topic, to: &$0) }
            return true
        }
        try rows.forEachPartition { (partition) throws(StoreError) in
            try writer.append(.partition) { RowCoding.append(partition, to: &$0) }
            return true
        }
        try rows.forEachConfig { (config) throws(StoreError) in
            try writer.append(.config) { RowCoding.append(config, to: &$0) }
            return true
        }
        try rows.forEachSession { (id, body) throws(StoreError) in
            try writer.append(.session) {
                $0.append(id.rawValue)
                $0.append(raw: body)
            }
            return true
        }
        self.state = state
        self.writer = writer
    }

    mutating func finish() throws(StoreError) -> SnapshotFile {
        let bytes = try writer.finish()
        return SnapshotFile(
            position: state.applied, configuration: try MetadataStore.decode(state.configuration),
            version: state.version, digest: state.digest, bytes: bytes)
    }
}

/// What a snapshot left in the database.
private struct Installed {
    var state: StateRow
    var configuration: RaftCore.Configuration?
    var tally: PartitionTally
}

/// Replaces all rows inside the open transaction.
private enum SnapshotInstall {
    static func replaceAll(
        _ connection: Connection, from path: String, in fileSystem: any StoreFileSystem
    ) throws(StoreError) -> Installed {
        // Opened and checked again: what was verified may not be what is there now.
        var reader = try SnapshotReader(path: path, in: fileSystem)
        for table in DatabaseSchema.replacedTables { try connection.execute("DELETE FROM \(table)", "empty \(table)") }
        var empty = reader.state
        empty.totals = MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0)
        empty.configCount = 0
        let storage = try DatabaseStorage(connection, state: empty)
        let file = try reader.readAll { (row) throws(StoreError) in
            switch row {
            case .broker(let broker): try storage.apply(.broker(before: nil, after: broker))
            case .topic(let topic): try storage.apply(.topic(before: nil, after: topic))
            case .partition(let partition): try storage.apply(.partition(before: nil, after: partition))
            case .config(let config): try storage.apply(.config(before: nil, after: config))
            case .session(let id, let body): try storage.writeSession(id, body: body)
            }
        }
        try storage.finishTransaction(touched: [], removed: [])
        try StateStatements(connection).write(reader.state)
        return Installed(state: reader.state, configuration: file.configuration, tally: storage.tally)
    }
}
