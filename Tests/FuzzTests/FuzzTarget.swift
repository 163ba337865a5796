/// A decoder of bytes that come from a disk, a network or people, and what must hold for it whatever the bytes are.
///
/// The same targets run in two ways: `FuzzTests` mutates examples for about a second each, in every test run; `cluster/fuzz`
/// lets libFuzzer look for inputs that reach new code.
struct FuzzTarget: Sendable, CustomStringConvertible {
    let name: String
    /// Valid inputs, where mutation starts.
    let examples: @Sendable () throws -> [[UInt8]]
    /// Judges one input: a decoder that traps ends the process, one that contradicts itself throws a `Finding`.
    let judge: @Sendable ([UInt8]) throws -> Verdict

    var description: String { name }

    enum Verdict {
        case refused
        case accepted
    }

    static let all = core + schema + wire + log + store

    /// A longer input only costs time.
    static let inputBytesMax = 64 << 10
}

/// Something that must not be.
struct Finding: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Decodes; what is understood has to mean the same when it is encoded and decoded again.
func roundTrip<Value: Equatable>(
    _ bytes: [UInt8], decode: ([UInt8]) throws -> Value, encode: (Value) throws -> [UInt8]
) throws -> FuzzTarget.Verdict {
    let value: Value
    do {
        value = try decode(bytes)
    } catch {
        // Refused by name: all that is asked of a decoder here.
        return .refused
    }
    let encoded = try encode(value)
    let again: Value
    do {
        again = try decode(encoded)
    } catch {
        throw Finding("\(value) was decoded and is refused once it is encoded again: \(error)")
    }
    guard again == value else { throw Finding("\(value) was decoded, and \(again) from its own encoding") }
    return .accepted
}
