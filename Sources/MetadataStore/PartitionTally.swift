package import MetadataModel

/// How many partitions somebody has to look after. Counted once, when the rows are loaded, in the indexes that hold only those;
/// then it moves with each change, so whoever asks never waits for a scan.
package struct PartitionTally: Hashable, Sendable {
    /// Without a leader.
    package private(set) var offline = 0
    package private(set) var underReplicated = 0
    package private(set) var reassigning = 0

    package init() {}

    init(_ connection: Connection) throws(StoreError) {
        offline = try RowReader.count(.offline, connection)
        underReplicated = try RowReader.count(.underReplicated, connection)
        reassigning = try RowReader.count(.reassigning, connection)
    }

    package mutating func moved(from before: Partition?, to after: Partition?) {
        if let before { add(before, -1) }
        if let after { add(after, 1) }
    }

    /// Nothing is asserted: an index that was damaged on the disk is found by the scrub, not here.
    private mutating func add(_ partition: Partition, _ step: Int) {
        if PartitionFilter.offline.passes(partition) { offline += step }
        if PartitionFilter.underReplicated.passes(partition) { underReplicated += step }
        if PartitionFilter.reassigning.passes(partition) { reassigning += step }
    }
}
