internal import MetadataModel

/// The digest as the rows themselves give it.
enum DigestScan {
    static func digest(_ connection: Connection) throws(StoreError) -> UInt64 {
        let rows = try RowReader(connection)
        let state = try StateStatements(connection).read()
        var digest = StateDigest.of(featureLevel: state.featureLevel)
        try rows.forEachBroker(after: nil) { (broker) throws(StoreError) in
            digest &+= StateDigest.of(broker)
            return true
        }
        try rows.forEachTopicByID { (topic) throws(StoreError) in
            digest &+= StateDigest.of(topic)
            return true
        }
        try rows.forEachPartition { (partition) throws(StoreError) in
            digest &+= StateDigest.of(partition)
            return true
        }
        try rows.forEachConfig { (config) throws(StoreError) in
            digest &+= StateDigest.of(config)
            return true
        }
        try rows.forEachSession { (id, body) throws(StoreError) in
            digest &+= StateDigest.of(try RowCoding.session(id, body))
            return true
        }
        return digest
    }
}
