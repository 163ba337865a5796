import GRDB
package import MetadataModel
package import RaftCore

/// Answers questions on a connection of its own. It never holds up the writer, and sees what was committed before each
/// call of `answer`. One thread uses it at a time.
///
/// `@unchecked Sendable`: the answers' statements are touched inside `queue.inDatabase` only, a serial queue.
package final class MetadataReader: @unchecked Sendable {
    private let queue: DatabaseQueue
    /// Nil after `close`.
    private var answers: QueryAnswers?

    init(_ location: DatabaseLocation, options: StoreOptions) throws(StoreError) {
        let queue = try DatabaseOpening.reader(location, label: "reader", options: options)
        self.queue = queue
        answers = try DatabaseOpening.onQueue(queue, "open a reader") { (connection) throws(StoreError) in
            try QueryAnswers(connection)
        }
    }

    /// Answers all questions from one moment: one read transaction, in which the applied index and the version are read
    /// too. A caller that needs an index to be applied waits for it before the call.
    package func answer(
        _ queries: [Query]
    ) throws(StoreError) -> (results: [QueryResult], applied: LogPosition, version: Version) {
        try DatabaseOpening.onQueue(queue, "read") { (connection) throws(StoreError) in
            guard let answers else { throw .closed(operation: "read") }
            return try connection.readTransaction("read") { () throws(StoreError) in
                let state = try answers.state()
                var results: [QueryResult] = []
                results.reserveCapacity(queries.count)
                for query in queries { results.append(try answers.answer(query, state: state)) }
                return (results: results, applied: state.applied, version: state.version)
            }
        }
    }

    /// Answers one question after the other from one moment, for as long as it takes. The WAL grows meanwhile.
    package func answer<Result>(
        oneByOne body: ((Query) throws(StoreError) -> QueryResult) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        try DatabaseOpening.onQueue(queue, "read") { (connection) throws(StoreError) in
            guard let answers else { throw .closed(operation: "read") }
            return try connection.readTransaction("read") { () throws(StoreError) in
                let state = try answers.state()
                return try body { (query) throws(StoreError) in try answers.answer(query, state: state) }
            }
        }
    }

    func cacheStatistics() throws(StoreError) -> CacheStatistics {
        try DatabaseOpening.onQueue(queue, "probe") { (connection) throws(StoreError) in CacheStatistics(connection) }
    }

    /// Gives back the pages that this connection keeps and does not need now.
    package func releaseMemory() { queue.inDatabase { $0.releaseMemory() } }

    package func close() throws(StoreError) {
        queue.inDatabase { _ in answers = nil }
        try DatabaseOpening.close(queue, "close a reader")
    }
}
