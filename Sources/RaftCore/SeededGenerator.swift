/// SplitMix64: a small generator that gives the same numbers on every machine for the same seed.
///
/// It spreads election timeouts and starts the numbering of read attempts. It is not for secrets.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// One of many generators for the same seed. Neighbouring streams are not shifted copies of each other, as they would be
    /// if the seeds just differed by a small number.
    package init(seed: UInt64, stream: UInt64) {
        var first = SeededGenerator(seed: seed)
        var second = SeededGenerator(seed: stream ^ first.next())
        self.init(seed: second.next() ^ first.next())
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number in `0..<bound`. The bias of the remainder is below 2^-50 for the tick counts this is used with.
    package mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "the bound of a random number must be positive, not \(bound)")
        return Int(next() % UInt64(bound))
    }
}
