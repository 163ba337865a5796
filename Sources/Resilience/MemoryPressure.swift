/// How near a process is to the memory that it may use, as a level that others act on. It goes up at once and comes down only
/// when there is room again below the mark, so that it does not flap.
package struct MemoryPressure: Hashable, Sendable {
    package enum Level: Int, Hashable, Sendable, CaseIterable, Comparable {
        /// Exits: the others, when a mark is reached.
        case calm = 0
        /// What can be had again is given up: buffers and caches. Exits: `refusing` at the upper mark, `calm` well below the lower.
        case shedding = 1
        /// No more work is taken either. Exit: the others, well below the upper mark.
        case refusing = 2

        package static func < (lhs: Level, rhs: Level) -> Bool { lhs.rawValue < rhs.rawValue }
    }

    /// In percent of the limit.
    package struct Marks: Hashable, Sendable {
        package var shed: Int
        package var refuse: Int

        package init(shed: Int, refuse: Int) {
            precondition(shed > 0 && shed < refuse && refuse <= 100, "marks of \(shed) % and \(refuse) % make no sense")
            self.shed = shed
            self.refuse = refuse
        }
    }

    package let marks: Marks
    package private(set) var level = Level.calm

    package init(_ marks: Marks) { self.marks = marks }

    /// A mark that was reached counts until so many percent of the limit are free below it.
    static let slackPercent: UInt64 = 5

    /// - Parameters:
    ///   - used: bytes.
    ///   - limit: bytes; more than zero.
    /// - Returns: whether the level has changed.
    @discardableResult
    package mutating func measured(used: UInt64, limit: UInt64) -> Bool {
        precondition(limit > 0, "a process without any memory does not run")
        let before = level
        level =
            if isAbove(marks.refuse, used, limit, from: .refusing) {
                .refusing
            } else if isAbove(marks.shed, used, limit, from: .shedding) {
                .shedding
            } else {
                .calm
            }
        return level != before
    }

    private func isAbove(_ mark: Int, _ used: UInt64, _ limit: UInt64, from held: Level) -> Bool {
        let percent = UInt64(mark) - (level >= held ? min(MemoryPressure.slackPercent, UInt64(mark)) : 0)
        // In hundredths of the limit, rounded down: no product can overflow.
        return used >= limit / 100 * percent
    }
}
