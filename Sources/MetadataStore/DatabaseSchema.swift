import GRDB

/// The tables (docs/formats/database.md), the migrations that made them and the marks by which a file is recognized.
enum DatabaseSchema {
    /// The schema that this release writes, in `PRAGMA user_version`.
    static let version = 2
    /// `SBMd`: the database belongs to this program (`PRAGMA application_id`).
    static let applicationID = 0x5342_4d64

    /// Refuses a database that is not ours, or newer than this release. Read before anything is written.
    static func check(_ connection: Connection, path: String) throws(StoreError) {
        let applicationID = try connection.integer("PRAGMA application_id", "read application_id")
        let found = try connection.integer("PRAGMA user_version", "read user_version")
        // The migrator's own table comes first, in a transaction of its own: a crash may leave it alone there.
        let tables = try connection.integer(
            "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> 'grdb_migrations'", "count tables")
        let isNew = applicationID == 0 && found == 0 && tables == 0
        guard isNew || applicationID == Self.applicationID else {
            throw .foreignDatabase(path: path, applicationID: applicationID)
        }
        try checkMigrations(connection, version: found)
    }

    /// Each migration leaves its name in the same transaction in which it raises `user_version` by one. So a newer release shows in
    /// both, and a number that does not fit the names was damaged.
    private static func checkMigrations(_ connection: Connection, version found: Int64) throws(StoreError) {
        let known = migrator.migrations.map { "'\($0)'" }.joined(separator: ", ")
        func count(_ condition: String) throws(StoreError) -> Int64 {
            try connection.integer("SELECT count(*) FROM grdb_migrations WHERE \(condition)", "count migrations")
        }
        let hasNames = try connection.integer(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'grdb_migrations'", "look for migrations")
        let made = hasNames == 0 ? 0 : try count("identifier IN (\(known))")
        let unknown = hasNames == 0 ? 0 : try count("identifier NOT IN (\(known))")
        if found > version, unknown > 0 { throw .schemaTooNew(found: Int(found), supported: version) }
        guard found == made, unknown == 0 else {
            throw .corrupt(
                what: "it says schema \(found), and names \(made + unknown) migrations, \(unknown) of them unknown")
        }
    }

    /// Each migration runs once, in a transaction, and raises `user_version`. A released migration never changes.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator().disablingDeferredForeignKeyChecks()
        migrator.registerMigration("1: the first schema") { database in
            try database.execute(sql: Self.first)
        }
        migrator.registerMigration("2: capacity, tags, draining, eligible leaders") { database in
            try database.execute(sql: Self.second)
        }
        return migrator
    }

    /// Rows found by key only are kept in the key's own tree (WITHOUT ROWID): one lookup, no second tree.
    private static let first = """
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = 1;
        CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 0),
            applied_index INTEGER NOT NULL,
            applied_term INTEGER NOT NULL,
            version INTEGER NOT NULL,
            digest INTEGER NOT NULL,
            log_time INTEGER NOT NULL,
            feature_level INTEGER NOT NULL,
            brokers INTEGER NOT NULL,
            topics INTEGER NOT NULL,
            partitions INTEGER NOT NULL,
            configs INTEGER NOT NULL,
            sessions INTEGER NOT NULL,
            configuration BLOB,
            feed_floor INTEGER NOT NULL
        );
        CREATE TABLE broker (
            id INTEGER PRIMARY KEY,
            epoch INTEGER NOT NULL,
            incarnation BLOB NOT NULL,
            endpoints BLOB NOT NULL,
            rack TEXT NOT NULL,
            state INTEGER NOT NULL,
            version INTEGER NOT NULL
        );
        CREATE TABLE broker_load (
            id INTEGER PRIMARY KEY,
            replicas INTEGER NOT NULL,
            leaders INTEGER NOT NULL
        );
        CREATE TABLE topic (
            id BLOB PRIMARY KEY,
            name TEXT NOT NULL,
            collision_key TEXT NOT NULL,
            partition_count INTEGER NOT NULL,
            replication_factor INTEGER NOT NULL,
            version INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX topic_by_name ON topic (name);
        CREATE UNIQUE INDEX topic_by_collision_key ON topic (collision_key);
        CREATE TABLE partition (
            topic BLOB NOT NULL,
            number INTEGER NOT NULL,
            leader INTEGER,
            leader_epoch INTEGER NOT NULL,
            partition_epoch INTEGER NOT NULL,
            replicas BLOB NOT NULL,
            isr BLOB NOT NULL,
            adding BLOB NOT NULL,
            removing BLOB NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (topic, number)
        ) WITHOUT ROWID;
        CREATE TABLE replica (
            broker INTEGER NOT NULL,
            topic BLOB NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (broker, topic, number)
        ) WITHOUT ROWID;
        CREATE TABLE config (
            resource BLOB NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (resource, name)
        ) WITHOUT ROWID;
        CREATE TABLE session (
            id INTEGER PRIMARY KEY,
            body BLOB NOT NULL
        );
        CREATE TABLE feed (
            last_version INTEGER PRIMARY KEY,
            first_version INTEGER NOT NULL,
            body BLOB NOT NULL
        );
        INSERT INTO state VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0);
        """

    /// Brokers and partitions get columns; the feed, whose rows hold both as they were encoded before, begins anew. The
    /// indexes hold the few partitions that somebody has to look after.
    private static let second = """
        PRAGMA user_version = 2;
        ALTER TABLE broker ADD COLUMN capacity INTEGER NOT NULL DEFAULT 100;
        ALTER TABLE broker ADD COLUMN tags BLOB NOT NULL DEFAULT X'0000';
        ALTER TABLE broker ADD COLUMN is_draining INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE partition ADD COLUMN eligible_leaders BLOB NOT NULL DEFAULT X'';
        CREATE INDEX partition_offline ON partition (topic, number) WHERE leader IS NULL;
        CREATE INDEX partition_under_replicated ON partition (topic, number) WHERE length(isr) < length(replicas);
        CREATE INDEX partition_reassigning ON partition (topic, number) WHERE length(adding) + length(removing) > 0;
        DELETE FROM feed;
        UPDATE state SET feed_floor = version;
        """

    /// The tables that a snapshot replaces, in the order in which they are emptied.
    static let replacedTables = [
        "broker", "broker_load", "topic", "partition", "replica", "config", "session", "feed",
    ]
}
