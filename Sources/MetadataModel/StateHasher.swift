/// A 64-bit hash that is the same on every node, in every process and in every build: `Swift.Hasher` is seeded per process.
///
/// Each step is MurmurHash3's (x64 variant): for a fixed state it is a bijection of the word, so two contents that differ
/// in one word never collide. It guards against damage and bugs, not against an adversary.
package struct StateHasher: Sendable {
    private var state: UInt64
    private var words: UInt64 = 0

    /// `kind` keeps rows of different tables apart whose contents look alike.
    package init(kind: UInt64) {
        state = StateHasher.finalMix(kind &+ 0x9e37_79b9_7f4a_7c15)
    }

    package mutating func combine(_ word: UInt64) {
        var mixed = word &* 0x87c3_7b91_1142_53d5
        mixed = (mixed << 31) | (mixed >> 33)
        mixed = mixed &* 0x4cf5_ad43_2745_937f
        state ^= mixed
        state = (state << 27) | (state >> 37)
        state = state &* 5 &+ 0x52dc_e729
        words &+= 1
    }

    package mutating func combine(_ number: Int32) {
        combine(UInt64(UInt32(bitPattern: number)))
    }

    /// The length goes first, so that neighbouring strings cannot exchange bytes.
    package mutating func combine(_ string: String) {
        var string = string
        string.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            combine(UInt64(raw.count))
            var offset = 0
            while offset + 8 <= raw.count {
                combine(UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            guard offset < raw.count else { return }
            var tail: UInt64 = 0
            for (position, byte) in raw[offset...].enumerated() {
                tail |= UInt64(byte) << UInt64(8 * position)
            }
            combine(tail)
        }
    }

    package func finish() -> UInt64 {
        StateHasher.finalMix(state ^ words)
    }

    /// MurmurHash3's `fmix64`: every bit of the input reaches every bit of the output.
    private static func finalMix(_ value: UInt64) -> UInt64 {
        var value = value
        value ^= value >> 33
        value = value &* 0xff51_afd7_ed55_8ccd
        value ^= value >> 33
        value = value &* 0xc4ce_b9fe_1a85_ec53
        value ^= value >> 33
        return value
    }
}
