/// What happened, as lines for people. Costs nothing when nobody reads it.
struct SimulationTrace {
    private let write: ((String) -> Void)?

    init(_ write: ((String) -> Void)?) { self.write = write }

    /// `now` in microseconds. The text is only made when it is wanted.
    func line(_ now: UInt64, _ text: @autoclosure () -> String) {
        guard let write else { return }
        let fraction = String(now % 1_000_000)
        let zeros = String(repeating: "0", count: 6 - fraction.count)
        write("\(now / 1_000_000).\(zeros)\(fraction) \(text())")
    }
}
