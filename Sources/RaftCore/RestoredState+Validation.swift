extension RestoredState {
    /// What is wrong with the state read back from disk; nil when a member may start with it.
    ///
    /// The caller refuses to start with the reason: a gap between snapshot and log, for example, must never be papered over
    /// (redisraft 43).
    public func problem() -> String? {
        if let problem = configuration.problem() { return "configuration at \(base): \(problem)" }
        var last = base
        for entry in entries {
            if entry.index != last.index.next {
                return "the log has a gap: entry \(entry.index) follows \(last.index)"
            }
            if entry.term < last.term { return "the term falls from \(last) to \(entry.position)" }
            if entry.kind == .configuration {
                do throws(ConfigurationDecodingError) {
                    let configuration = try Configuration(decoding: entry.payload)
                    if let problem = configuration.problem() { return "configuration at \(entry.position): \(problem)" }
                } catch {
                    return "the configuration at \(entry.position) does not decode: \(error)"
                }
            }
            last = entry.position
        }
        if hardState.term < last.term { return "the term \(hardState.term) is older than the last entry, \(last)" }
        if hardState.term > RaftNode.termMax { return "the term \(hardState.term) is out of range" }
        if last.index > RaftNode.indexMax { return "the index \(last.index) is out of range" }
        if applied < base.index {
            return "applied is \(applied), but entries up to \(base.index) are gone from the log"
        }
        if applied > last.index { return "applied is \(applied), but the log ends at \(last.index)" }
        return nil
    }
}

extension Options {
    /// What is wrong with these options; nil when they can be used.
    public func problem() -> String? {
        if heartbeatTicks < 1 { return "heartbeatTicks is \(heartbeatTicks), less than 1" }
        if electionTimeoutTicks <= heartbeatTicks {
            return "electionTimeoutTicks is \(electionTimeoutTicks), not above heartbeatTicks \(heartbeatTicks)"
        }
        let limits = [
            inflightMessagesMax, inflightBytesMax, appendBytesMax, uncommittedBytesMax, pendingReadsMax,
        ]
        if let low = limits.first(where: { $0 < 1 }) { return "a limit is \(low), less than 1" }
        return nil
    }
}
