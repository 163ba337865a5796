import MetadataModel

/// What became of a report of a partition's in-sync replicas.
public enum ISRReportResult: Sendable, Hashable {
    /// The partition is as reported, under these epochs; base the next report on them.
    case accepted(leaderEpoch: Int32, partitionEpoch: Int32)
    /// The cluster decided against it. `stale_partition_epoch` and `stale_leader_epoch`: an assignment that says more is on
    /// its way, or was just given.
    case refused(Refusal)
    /// It was dropped, for the partition has another leader or leader epoch by now, a newer report took its place, or the
    /// broker had to register again.
    case outdated
    /// The session ended first. `indefinite`: it may have been carried out.
    case failed(MetadataError)
}
