/// The monotonic clock of one machine: it starts anywhere and runs at its own rate.
struct SimulatedClock {
    /// Local seconds in 1,000 true ones.
    var ratePerMille: UInt64 = 1_000
    var offsetMilliseconds: UInt64 = 0

    /// What it shows at a moment of the simulation, in milliseconds.
    func milliseconds(at now: UInt64) -> UInt64 { offsetMilliseconds + now * ratePerMille / 1_000_000 }

    /// How long a local span takes, in microseconds of the simulation.
    func microseconds(of localMilliseconds: UInt64) -> UInt64 { localMilliseconds * 1_000_000 / ratePerMille }
}
