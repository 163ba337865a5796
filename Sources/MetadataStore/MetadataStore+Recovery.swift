internal import MetadataModel
package import RaftCore

/// For `metactl recover`, with no node running: a copy of the state that begins a new cluster.
extension MetadataStore {
    /// Writes a whole copy of the database to `path`, which must not exist. It is not durable before a checkpoint of a store
    /// that was opened on it.
    package func copy(to path: String) throws(StoreError) {
        let quoted = path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        try Self.onWriter(of: writerQueue, "copy the database") { (connection) throws(StoreError) in
            try connection.execute("VACUUM INTO '\(quoted)'", "copy the database to \(path)")
        }
    }

    /// Makes this state the beginning of a new cluster, in one transaction that is synced at its commit.
    ///
    /// The old cluster may have acknowledged what is not in this state, and clients may have seen it. So nothing that they
    /// could hold may fit again (etcd 16028): version and position move to `position`, ahead of whatever the old cluster
    /// can have reached; the epochs of every partition rise by `epochStep`, ahead of elections that were lost; sessions and
    /// the change feed end, so that clients begin anew.
    ///
    /// - Parameters:
    ///   - position: beyond everything that was applied.
    ///   - configuration: the members of the new cluster.
    package func beginCluster(
        at position: LogPosition, configuration: RaftCore.Configuration, epochStep: Int32
    ) throws(StoreError) {
        let applied = self.applied
        precondition(
            position.index > applied.index && position.term > applied.term,
            "a new cluster cannot begin at \(position), the state is at \(applied)")
        let state = try onWriterDroppingState("begin a cluster") { (connection) throws(StoreError) in
            // This one transaction must not be lost: no log explains it.
            try connection.set("synchronous", to: DatabaseOpening.synchronousFull)
            return try connection.transaction("begin a cluster") { () throws(StoreError) in
                try Self.beginCluster(connection, position, configuration, epochStep)
            }
        }
        publish(state, configuration: configuration)
    }

    private static func beginCluster(
        _ connection: Connection, _ position: LogPosition, _ configuration: RaftCore.Configuration, _ epochStep: Int32
    ) throws(StoreError) -> StateRow {
        let highest = try connection.integer(
            "SELECT max(max(leader_epoch), max(partition_epoch)) FROM partition", "read the highest epoch")
        guard highest <= Int64(Int32.max - epochStep) else {
            throw .corrupt(what: "an epoch of \(highest) leaves no room for \(epochStep) more")
        }
        try connection.execute(
            """
            UPDATE partition SET leader_epoch = leader_epoch + \(epochStep),
                partition_epoch = partition_epoch + \(epochStep), version = \(position.index.rawValue)
            """, "raise the epochs")
        try connection.execute("DELETE FROM session", "end the sessions")
        try connection.execute("DELETE FROM feed", "empty the feed")
        let statements = try StateStatements(connection)
        var state = try statements.read()
        state.totals.sessions = 0
        state.applied = position
        state.version = Version(position.index.rawValue)
        state.feedFloor = state.version
        state.configuration = configuration.encoded()
        state.digest = try DigestScan.run(connection, pace: {}).recomputed
        try statements.write(state)
        return state
    }
}
