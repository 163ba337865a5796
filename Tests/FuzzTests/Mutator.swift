import RaftCore

/// Makes new inputs out of valid ones: flipped bits, splices, lies about lengths, cuts. The same seed makes the same.
struct Mutator {
    private var generator: SeededGenerator
    private let examples: [[UInt8]]

    init(seed: UInt64, examples: [[UInt8]]) {
        precondition(!examples.isEmpty, "there is nothing to mutate")
        generator = SeededGenerator(seed: seed)
        self.examples = examples
    }

    mutating func next() -> [UInt8] {
        var bytes = examples[generator.below(examples.count)]
        for _ in 0...generator.below(4) { change(&bytes) }
        return Array(bytes.prefix(FuzzTarget.inputBytesMax))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return bytes.append(UInt8(truncatingIfNeeded: generator.next())) }
        let place = generator.below(bytes.count)
        switch generator.below(9) {
        case 0, 1: bytes[place] ^= 1 << UInt8(generator.below(8))
        case 2: bytes[place] = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x20][generator.below(7)]
        case 3, 4: overwrite(&bytes, at: place)
        case 5: bytes.removeLast(generator.below(bytes.count) + 1)
        case 6: bytes.removeSubrange(range(in: bytes, from: place))
        case 7: bytes.insert(contentsOf: bytes[range(in: bytes, from: place)], at: generator.below(bytes.count))
        default:
            let other = examples[generator.below(examples.count)]
            bytes = Array(bytes[..<place]) + other.suffix(generator.below(other.count + 1))
        }
    }

    /// Most lengths and counts are integers of 1, 2, 4 or 8 bytes in either order, or varints: makes one of them lie.
    private mutating func overwrite(_ bytes: inout [UInt8], at place: Int) {
        let lies: [UInt64] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, .max >> 1, .max]
        var lie = lies[generator.below(lies.count)]
        if generator.below(4) == 0 { lie = UInt64(bytes.count) &+ UInt64(generator.below(5)) &- 2 }
        let width = [1, 2, 4, 8][generator.below(4)]
        let isBigEndian = generator.below(2) == 0
        if generator.below(4) == 0 {
            // A varint of ten bytes, the last of them not always allowed.
            let varint = [UInt8](repeating: 0xff, count: generator.below(10)) + [UInt8(generator.below(128))]
            bytes.replaceSubrange(place..<min(bytes.count, place + varint.count), with: varint)
            return
        }
        for offset in 0..<width where place + offset < bytes.count {
            let shift = UInt64(8 * (isBigEndian ? width - 1 - offset : offset))
            bytes[place + offset] = UInt8(truncatingIfNeeded: lie >> shift)
        }
    }

    private mutating func range(in bytes: [UInt8], from place: Int) -> Range<Int> {
        place..<min(bytes.count, place + 1 + generator.below(16))
    }
}
