import MetadataModel
import Simulation
import Testing

@Suite("The watch checker")
struct WatchCheckerTests {
    private func event(_ version: UInt64, _ names: String...) -> ChangeEvent {
        ChangeEvent(
            version: Version(version),
            changes: names.map {
                .configChanged(ConfigEntry(resource: .cluster, name: $0, value: "", version: Version(version)))
            })
    }

    /// A watch of everything after version 1, and one of the names that begin with "x"; versions 2, 4 and 7 have happened.
    private func checker() throws -> WatchChecker<Int> {
        var checker = WatchChecker<Int>()
        checker.starts(1, after: Version(1))
        checker.starts(2, after: Version(1)) { changes in
            changes.filter { change in
                if case .configChanged(let entry) = change { entry.name.hasPrefix("x") } else { false }
            }
        }
        for event in [event(2, "a"), event(4, "x1", "b"), event(7, "c")] { try checker.happens(event) }
        return checker
    }

    @Test("everything in order, once and whole, is accepted, in parts of any size")
    func accepted() throws {
        var checker = try checker()
        try checker.delivers([event(2, "a")], through: Version(3), to: 1)
        try checker.delivers([], through: Version(3), to: 1)
        try checker.delivers([event(4, "x1", "b"), event(7, "c")], through: Version(7), to: 1)
        #expect(checker.position(of: 1) == Version(7))
        try checker.delivers([event(4, "x1")], through: Version(7), to: 2)
        try checker.judge(watch: 1, hasReached: Version(7))
        // Something has changed that no client can see.
        checker.reaches(Version(9))
        try checker.delivers([], through: Version(9), to: 1)
        // A watch that begins anew further back gets the same again.
        checker.starts(1, after: Version(2))
        try checker.delivers([event(4, "x1", "b")], through: Version(4), to: 1)
        finds("watch: complete") { try checker.judge(watch: 1, hasReached: Version(7)) }
    }

    @Test("a gap, a repetition, a wrong order, half of a version, and news from the future are found")
    func planted() throws {
        func delivers(_ events: [ChangeEvent], through: UInt64, to watch: Int = 1) throws {
            var checker = try checker()
            try checker.delivers(events, through: Version(through), to: watch)
        }
        finds("watch: complete") { try delivers([event(2, "a"), event(7, "c")], through: 7) }
        finds("watch: complete") { try delivers([event(2, "a")], through: 4) }
        finds("watch: complete") { try delivers([], through: 7, to: 2) }
        finds("watch: order") { try delivers([event(4, "x1", "b"), event(2, "a")], through: 4) }
        finds("watch: order") { try delivers([event(2, "a"), event(2, "a")], through: 4) }
        finds("watch: order") { try delivers([event(4, "x1", "b")], through: 3) }
        finds("watch: atomic") { try delivers([event(2, "a"), event(4, "x1")], through: 4) }
        finds("watch: invention") { try delivers([event(2, "a"), event(3, "z")], through: 3) }
        finds("watch: invention") { try delivers([event(2, "a"), event(4, "x1")], through: 4, to: 2) }
        finds("watch: future") { try delivers([event(2, "a")], through: 8) }
    }

    @Test("what was told is not told again after a reconnection")
    func repeated() throws {
        var checker = try checker()
        try checker.delivers([event(2, "a"), event(4, "x1", "b")], through: Version(4), to: 1)
        finds("watch: order") { try checker.delivers([event(4, "x1", "b")], through: Version(7), to: 1) }
        finds("watch: order") { try checker.delivers([], through: Version(3), to: 1) }
    }

    @Test("two nodes that tell different histories are found")
    func histories() throws {
        var checker = try checker()
        try checker.happens(event(4, "x1", "b"))
        finds("watch: one history") { try checker.happens(event(4, "x1")) }
        finds("watch: one history") { try checker.happens(event(5, "d")) }
        try checker.happens(event(8, "d"))
    }
}
