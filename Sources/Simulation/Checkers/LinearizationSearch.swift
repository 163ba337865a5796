/// Looks for an order of the operations of one object that explains all answers and keeps apart what did not overlap: the
/// algorithm of Wing and Gong (1993) with Lowe's memory of configurations that led nowhere (2016), as in Porcupine.
struct LinearizationSearch<Model: SequentialModel> {
    typealias Record = History<Model>.Record

    enum Verdict: Hashable {
        case linearizable
        /// The longest explanation that was found, and the operation at which it ended.
        case notLinearizable(explained: Int, stuckAt: Int)
        /// The steps were used up before the answer was there.
        case undecided
    }

    /// An operation begins, or its answer is there. Kept in a list with links, so that one can be taken out and put back in
    /// the same place.
    private struct Event {
        var record: Int
        var isReturn: Bool
        var previous: Int
        var next: Int
        /// Of a call: the place of its return; -1 when none is known.
        var match: Int = -1
    }

    private struct Configuration: Hashable {
        var done: [UInt64]
        var state: Model.State
    }

    private struct Choice {
        var event: Int
        var stateBefore: Model.State
        /// There is nothing else to try: see `settle`.
        var isSettled: Bool
    }

    private let records: [Record]
    /// The first is a head that stands for nothing.
    private var events: [Event]
    private var state = Model.initial
    private var done: [UInt64]
    private var choices: [Choice] = []
    private var seen: Set<Configuration> = []
    /// Operations whose answer is known and which are not in the order yet.
    private var open: Int
    private var steps = 0

    init(_ records: [Record]) {
        self.records = records
        open = records.count { $0.returned != nil }
        done = Array(repeating: 0, count: records.count / 64 + 1)
        var moments: [(time: UInt64, isReturn: Bool, record: Int)] = []
        for (number, record) in records.enumerated() {
            moments.append((record.invoked, false, number))
            // What was never answered never returned: it may come last, or not at all.
            if let returned = record.returned { moments.append((returned, true, number)) }
        }
        // What ends when another begins overlaps with it: calls come first.
        moments.sort {
            if $0.time != $1.time { return $0.time < $1.time }
            return $0.isReturn != $1.isReturn ? $1.isReturn : $0.record < $1.record
        }
        events = [Event(record: -1, isReturn: false, previous: -1, next: moments.isEmpty ? -1 : 1)]
        var calls = Array(repeating: 0, count: records.count)
        for (offset, moment) in moments.enumerated() {
            let place = offset + 1
            events.append(
                Event(
                    record: moment.record, isReturn: moment.isReturn, previous: place - 1,
                    next: place == moments.count ? -1 : place + 1))
            if moment.isReturn { events[calls[moment.record]].match = place } else { calls[moment.record] = place }
        }
    }

    mutating func run(stepsMax: Int) -> Verdict {
        var explained = -1
        var stuckAt = 0
        settle()
        var place = events[0].next
        while open > 0 {
            precondition(place > 0, "\(open) answered operations have left the list")
            let event = events[place]
            if event.isReturn {
                // Everything before it was tried in front of it, in vain: the last choice was wrong.
                if choices.count > explained { (explained, stuckAt) = (choices.count, event.record) }
                guard let last = takeBack() else {
                    return .notLinearizable(explained: explained, stuckAt: stuckAt)
                }
                place = events[last].next
                continue
            }
            if steps > stepsMax { return .undecided }
            if choose(place) {
                settle()
                place = events[0].next
            } else {
                place = event.next
            }
        }
        return .linearizable
    }

    /// Puts the operation that begins at `place` next into the order, if that is possible and new.
    private mutating func choose(_ place: Int) -> Bool {
        steps += 1
        let number = events[place].record
        let record = records[number]
        guard let after = Model.step(state, record.operation, answer: record.answer) else { return false }
        var next = done
        next[number / 64] |= 1 << UInt64(number % 64)
        guard seen.insert(Configuration(done: next, state: after)).inserted else { return false }
        take(place, isSettled: false)
        state = after
        return true
    }

    /// Puts everything next that only observes the present state: wherever else it could stand, it may as well stand here.
    private mutating func settle() {
        var place = events[0].next
        while place > 0, !events[place].isReturn {
            steps += 1
            let record = records[events[place].record]
            if let answer = record.answer, Model.isObservation(record.operation, answer: answer),
                Model.step(state, record.operation, answer: answer) != nil
            {
                take(place, isSettled: true)
                // Its answer is gone from the list, so others may have moved to the front.
                place = events[0].next
            } else {
                place = events[place].next
            }
        }
    }

    private mutating func take(_ place: Int, isSettled: Bool) {
        let number = events[place].record
        done[number / 64] |= 1 << UInt64(number % 64)
        choices.append(Choice(event: place, stateBefore: state, isSettled: isSettled))
        if records[number].returned != nil { open -= 1 }
        unlink(place)
        if events[place].match > 0 { unlink(events[place].match) }
    }

    /// Undoes the last choice to which there is an alternative, and all that followed it. Nil when there is none.
    private mutating func takeBack() -> Int? {
        while let choice = choices.popLast() {
            let place = choice.event
            let number = events[place].record
            if events[place].match > 0 { relink(events[place].match) }
            relink(place)
            done[number / 64] &= ~(1 << UInt64(number % 64))
            if records[number].returned != nil { open += 1 }
            state = choice.stateBefore
            if !choice.isSettled { return place }
        }
        return nil
    }

    private mutating func unlink(_ place: Int) {
        let event = events[place]
        events[event.previous].next = event.next
        if event.next > 0 { events[event.next].previous = event.previous }
    }

    private mutating func relink(_ place: Int) {
        let event = events[place]
        events[event.previous].next = place
        if event.next > 0 { events[event.next].previous = place }
    }
}
