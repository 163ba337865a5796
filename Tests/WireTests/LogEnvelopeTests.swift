import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@Suite("Log entries")
struct LogEnvelopeTests {
    private let envelope = LogEnvelope(
        timeMilliseconds: 0x0102_0304_0506_0708, session: SessionID(0x1112_1314_1516_1718), sequence: 0x21,
        acknowledgedBelow: 0x31, commandBytes: Command.expireSessions.schemaBytes())

    @Test("an envelope has the bytes of docs/formats/commands.md")
    func goldenBytes() {
        #expect(
            hex(envelope.encoded())
                == "0101" + "0807060504030201" + "1817161514131211" + "2100000000000000" + "3100000000000000"
                + "08017200")
    }

    @Test("an envelope comes back as it was encoded", arguments: 0..<50)
    func roundTrip(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for command in values.commands() {
            let session = values.maybe { SessionID($0.number()) }
            let envelope = LogEnvelope(
                timeMilliseconds: values.number(), session: session, sequence: values.number(),
                acknowledgedBelow: values.number(), commandBytes: command.schemaBytes())
            #expect(try LogEnvelope(decoding: envelope.encoded()) == envelope, "seed \(seed)")
            let expected = LogCommand(
                timeMilliseconds: envelope.timeMilliseconds, session: session, sequence: envelope.sequence,
                acknowledgedBelow: envelope.acknowledgedBelow, command: command)
            #expect(LogCommand(decoding: envelope.encoded()) == expected, "seed \(seed)")
            #expect(envelope.logCommand() == expected, "seed \(seed)")
        }
    }

    @Test("an entry whose command is not understood keeps its session and has no command (pitfall: poison entry)")
    func poisonEntry() {
        var poison = envelope
        for bytes: [UInt8] in [[], [0xff], [0x08, 0x02, 0x72, 0x00], [0x08, 0x01, 0xe2, 0x03, 0x00]] {
            poison.commandBytes = bytes
            let expected = LogCommand(
                timeMilliseconds: envelope.timeMilliseconds, session: envelope.session, sequence: envelope.sequence,
                acknowledgedBelow: envelope.acknowledgedBelow, command: nil)
            #expect(LogCommand(decoding: poison.encoded()) == expected)
            #expect(poison.logCommand() == expected)
        }
    }

    @Test("an entry whose header is not understood has neither session nor command")
    func unknownHeader() {
        let nothing = LogCommand(timeMilliseconds: 0, session: nil, sequence: 0, acknowledgedBelow: 0, command: nil)
        let bytes = envelope.encoded()
        var newer = bytes
        newer[0] = 2
        #expect(throws: SchemaError.unknownValue("log envelope version 2")) { try LogEnvelope(decoding: newer) }
        #expect(LogCommand(decoding: newer) == nothing)
        var flagged = bytes
        flagged[1] = 3
        #expect(throws: SchemaError.unknownValue("log envelope flags 3")) { try LogEnvelope(decoding: flagged) }
        #expect(LogCommand(decoding: flagged) == nothing)
        var contradictory = bytes
        contradictory[1] = 0
        #expect(throws: SchemaError.self) { try LogEnvelope(decoding: contradictory) }
        #expect(LogCommand(decoding: contradictory) == nothing)
        for count in 0..<LogEnvelope.headerBytes {
            #expect(throws: SchemaError.self) { try LogEnvelope(decoding: Array(bytes.prefix(count))) }
            #expect(LogCommand(decoding: Array(bytes.prefix(count))) == nothing)
        }
    }

    @Test("no entry, however damaged, stops its decoding", arguments: 0..<4)
    func damaged(seed: UInt64) {
        var values = RandomValues(seed: seed)
        for command in values.commands() {
            var bytes = LogEnvelope(
                timeMilliseconds: 1, session: SessionID(2), sequence: 3, acknowledgedBelow: 4,
                commandBytes: command.schemaBytes()
            ).encoded()
            for offset in bytes.indices {
                let bit = UInt8(1) << UInt8(values.generator.below(8))
                bytes[offset] ^= bit
                // Whatever is understood in it has an encoding; getting here is the claim.
                if let understood = LogCommand(decoding: bytes).command { #expect(!understood.schemaBytes().isEmpty) }
                bytes[offset] ^= bit
            }
            #expect(LogCommand(decoding: bytes).command == command)
        }
    }
}
