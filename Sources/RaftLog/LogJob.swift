package import RaftCore

/// What the thread of a log is asked for, in the order in which it has to be done.
package enum LogJob: Equatable, Sendable {
    case write(Persist)
    /// See `SegmentedLog.compact`.
    case compact(LogPosition)
    /// Try again what a full disk stopped; see `LogJobOutcome.full`.
    case resume
}

/// What became of jobs.
package enum LogJobOutcome: Hashable, Sendable {
    /// Everything up to this sequence is synced.
    case persisted(UInt64)
    case compacted(LogPosition)
    /// The writes that are not reported wait for room. They are tried again with the next job, so one has to be given some time.
    case full(LogError)
    /// Fatal for the member: what is on the disk is not known any more.
    case failed(LogError)
}

extension SegmentedLog {
    /// Does what has queued up: one group, and so one sync, for all writes up to a compaction, which is rare. `report` is told
    /// as soon as a part is done.
    ///
    /// - Parameter makeRoom: called when the disk is full, before the one other attempt.
    package func perform(_ jobs: [LogJob], makeRoom: () -> Void = {}, report: (LogJobOutcome) -> Void) {
        var group: [Persist] = []
        var isAskedToResume = false
        for job in jobs {
            switch job {
            case .write(let persist):
                group.append(persist)
            case .compact(let position):
                if !group.isEmpty { writeGroup(&group, makeRoom, report) }
                do throws(LogError) {
                    try compact(to: position)
                    report(.compacted(position))
                } catch {
                    report(.failed(error))
                }
            case .resume:
                isAskedToResume = true
            }
        }
        if !group.isEmpty || isAskedToResume && unfinished != nil { writeGroup(&group, makeRoom, report) }
    }

    private func writeGroup(
        _ group: inout [Persist], _ makeRoom: () -> Void, _ report: (LogJobOutcome) -> Void
    ) {
        guard let sequence = group.last?.sequence ?? unfinished?.sequence else { return }
        do throws(LogError) {
            do throws(LogError) {
                try write(group)
            } catch {
                guard case .full = error else { throw error }
                makeRoom()
                try write([])
            }
            report(.persisted(sequence))
        } catch {
            if case .full = error { report(.full(error)) } else { report(.failed(error)) }
        }
        group.removeAll(keepingCapacity: true)
    }
}
