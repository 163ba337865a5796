package import RaftCore

/// What the thread of a log is asked for, in the order in which it has to be done.
package enum LogJob: Equatable, Sendable {
    case write(Persist)
    /// See `SegmentedLog.compact`.
    case compact(LogPosition)
}

/// What became of jobs.
package enum LogJobOutcome: Hashable, Sendable {
    /// Everything up to this sequence is synced.
    case persisted(UInt64)
    case compacted(LogPosition)
    /// Fatal for the member: what is on the disk is not known any more.
    case failed(LogError)
}

extension SegmentedLog {
    /// Does what has queued up: one group, and so one sync, for all writes up to a compaction, which is rare. `report` is told
    /// as soon as a part is done.
    package func perform(_ jobs: [LogJob], report: (LogJobOutcome) -> Void) {
        var group: [Persist] = []
        for job in jobs {
            switch job {
            case .write(let persist):
                group.append(persist)
            case .compact(let position):
                writeGroup(&group, report)
                do throws(LogError) {
                    try compact(to: position)
                    report(.compacted(position))
                } catch {
                    report(.failed(error))
                }
            }
        }
        writeGroup(&group, report)
    }

    private func writeGroup(_ group: inout [Persist], _ report: (LogJobOutcome) -> Void) {
        guard let last = group.last else { return }
        do throws(LogError) {
            try write(group)
            report(.persisted(last.sequence))
        } catch {
            report(.failed(error))
        }
        group.removeAll(keepingCapacity: true)
    }
}
