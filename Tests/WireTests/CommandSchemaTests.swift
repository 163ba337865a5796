import MetadataModel
import MetadataSchema
import Testing

@Suite("Commands that are not understood")
struct CommandSchemaTests {
    @Test("a command of a newer version is refused by its version")
    func newerVersion() throws {
        var bytes = Command.expireSessions.schemaBytes()
        #expect(bytes == [0x08, 0x01, 0x72, 0x00])
        bytes[1] = 2
        #expect(throws: SchemaError.unknownCommand(version: 2)) { try Command(schemaBytes: bytes) }
    }

    @Test("a command without version is refused")
    func noVersion() throws {
        #expect(throws: SchemaError.unknownCommand(version: 0)) { try Command(schemaBytes: [0x72, 0x00]) }
        #expect(throws: SchemaError.unknownCommand(version: 0)) { try Command(schemaBytes: []) }
    }

    @Test("a kind of command that this build does not know is refused")
    func unknownKind() throws {
        // version = 1, field 60 = {}
        #expect(throws: SchemaError.unknownCommand(version: 1)) {
            try Command(schemaBytes: [0x08, 0x01, 0xe2, 0x03, 0x00])
        }
    }

    @Test("a command with a known kind and an unknown field beside it is refused")
    func unknownFieldOfTheCommand() throws {
        #expect(throws: SchemaError.unknownCommand(version: 1)) {
            try Command(schemaBytes: Command.expireSessions.schemaBytes() + [0xe2, 0x03, 0x00])
        }
    }

    @Test("every command refuses an unknown field within its parts", arguments: 0..<20)
    func unknownFieldWithin(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for command in values.commands() {
            // Field 2000 of the part, which is last in the command: 0x82 0x7d 0x00.
            let bytes = command.schemaBytes()
            guard let part = lastPart(of: bytes), part.length + 3 < 128 else { continue }
            var longer = bytes
            longer[part.lengthOffset] = UInt8(part.length + 3)
            longer += [0x82, 0x7d, 0x00]
            #expect(throws: SchemaError.self, "seed \(seed): \(command)") { try Command(schemaBytes: longer) }
        }
    }

    @Test("an unknown field deep within a command is refused")
    func unknownFieldDeepWithin() throws {
        // alter_configs { resource { topic_name "t" }, changes { name "a", field 2000 {} } }
        let known: [UInt8] = [0x08, 1, 0x4a, 10, 0x0a, 3, 0x1a, 1, 0x74, 0x12, 3, 0x0a, 1, 0x61]
        let expected = Command.alterConfigs(
            Command.AlterConfigs(resource: .topic(.name("t")), changes: [ConfigChange(name: "a", value: nil)]))
        #expect(try Command(schemaBytes: known) == expected)
        let newer: [UInt8] = [0x08, 1, 0x4a, 13, 0x0a, 3, 0x1a, 1, 0x74, 0x12, 6, 0x0a, 1, 0x61, 0x82, 0x7d, 0]
        #expect(throws: SchemaError.unknownValue("a field of streambus.metadata.v1.ConfigChange")) {
            try Command(schemaBytes: newer)
        }
    }

    @Test("a command beyond the limit is refused before it is parsed")
    func tooLarge() throws {
        let bytes = [UInt8](repeating: 0xff, count: Limits.commandBytesMax + 1)
        #expect(throws: SchemaError.tooLarge(bytes: bytes.count, bytesMax: Limits.commandBytesMax)) {
            try Command(schemaBytes: bytes)
        }
    }

    /// Where the length of the command's part stands, if the part is a message shorter than 128 bytes.
    private func lastPart(of bytes: [UInt8]) -> (lengthOffset: Int, length: Int)? {
        // version: two bytes; then a tag of one byte, or two for field numbers from 16.
        guard bytes.count > 4, bytes[2] & 7 == 2 else { return nil }
        let offset = bytes[2] < 128 ? 3 : 4
        guard bytes[offset] < 128, Int(bytes[offset]) == bytes.count - offset - 1 else { return nil }
        return (offset, Int(bytes[offset]))
    }
}
