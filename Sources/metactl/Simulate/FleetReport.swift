/// A status line of `simulate-brokers`.
struct FleetReport: Report, Equatable {
    var elapsedSeconds: Double
    /// How many there are to be.
    var brokers: Int
    /// Which of them live.
    var alive: Int
    /// Which of them may lead, as the cluster sees it: more than live while the dead are not noticed.
    var active = 0
    /// Since the start: what brokers were told, what they reported of in-sync replicas, and what was refused of that.
    var instructions: Int
    var isrReports: Int
    var isrRefused: Int
    /// Of the whole cluster.
    var partitions: Int
    var offline = 0
    var underReplicated = 0
    /// Partitions whose leader is one of these brokers and dead: not noticed yet.
    var ledByDead = 0
    var version: UInt64
    /// How long ago a node confirmed the version; null before the first time.
    @OrNull var lagMs: Double?

    var table: String {
        let trouble = [
            offline > 0 ? "\(offline) offline" : nil, ledByDead > 0 ? "\(ledByDead) led by dead brokers" : nil,
            underReplicated > 0 ? "\(underReplicated) under-replicated" : nil,
        ].compactMap { $0 }
        let health = trouble.isEmpty ? "all in sync" : trouble.joined(separator: ", ")
        return [
            "\(Int(elapsedSeconds)) s".paddedLeft(6), "brokers \(alive) of \(brokers) alive, \(active) active",
            "partitions \(partitions): \(health)", "told \(instructions), reported \(isrReports)",
            "version \(version)" + (lagMs.map { $0 > 1_000 ? ", \(Int($0 / 1_000)) s old" : "" } ?? ", not read yet"),
        ].joined(separator: "   ")
    }
}
