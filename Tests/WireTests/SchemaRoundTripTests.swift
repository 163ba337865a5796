import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@Suite("The model as bytes")
struct SchemaRoundTripTests {
    private func checkRoundTrip<Value: SchemaCodable & Equatable>(_ value: Value, seed: UInt64) throws {
        let bytes = value.schemaBytes()
        #expect(try Value(schemaBytes: bytes) == value, "seed \(seed)")
        #expect(value.schemaBytes() == bytes, "seed \(seed)")
    }

    @Test("every value comes back as it was encoded, and encodes to the same bytes each time", arguments: 0..<50)
    func roundTrip(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for command in values.commands() { try checkRoundTrip(command, seed: seed) }
        for outcome in values.outcomes() { try checkRoundTrip(outcome, seed: seed) }
        for change in values.observedChanges() { try checkRoundTrip(change, seed: seed) }
        for query in values.queries() { try checkRoundTrip(query, seed: seed) }
        for result in values.queryResults() { try checkRoundTrip(result, seed: seed) }
        try checkRoundTrip(values.changeEvent(), seed: seed)
        try checkRoundTrip(values.broker(), seed: seed)
        try checkRoundTrip(values.topic(), seed: seed)
        try checkRoundTrip(values.partition(), seed: seed)
        try checkRoundTrip(values.configEntry(), seed: seed)
        try checkRoundTrip(values.session(), seed: seed)
        try checkRoundTrip(values.sessionState(), seed: seed)
        try checkRoundTrip(values.watchFilter(), seed: seed)
    }

    @Test("every enum value has a number of its own", arguments: Refusal.Reason.allCases)
    func refusalReasons(reason: Refusal.Reason) throws {
        let refusal = Refusal(reason, "detail")
        #expect(try Refusal(schemaBytes: refusal.schemaBytes()) == refusal)
    }

    @Test("an unknown enum value is refused, never taken for a default")
    func unknownEnumValue() throws {
        // Refusal { reason = 0 / 99 }
        #expect(throws: SchemaError.unknownValue("refusal reason 0")) { try Refusal(schemaBytes: []) }
        #expect(throws: SchemaError.unknownValue("refusal reason 99")) { try Refusal(schemaBytes: [0x08, 99]) }
    }

    @Test("an absent part is refused")
    func absentPart() throws {
        #expect(throws: SchemaError.malformed("topic without id")) { try Topic(schemaBytes: []) }
        #expect(throws: SchemaError.malformed("broker without incarnation")) { try Broker(schemaBytes: []) }
        #expect(throws: SchemaError.malformed("partition without topic")) { try Partition(schemaBytes: []) }
        #expect(throws: SchemaError.malformed("config entry without resource")) { try ConfigEntry(schemaBytes: []) }
        #expect(throws: SchemaError.unknownValue("query")) { try Query(schemaBytes: []) }
        #expect(throws: SchemaError.unknownValue("query result")) { try QueryResult(schemaBytes: []) }
        #expect(throws: SchemaError.unknownValue("command outcome")) { try CommandOutcome(schemaBytes: []) }
        #expect(throws: SchemaError.malformed("session state without session")) { try SessionState(schemaBytes: []) }
    }

    @Test("a number beyond the range of its type is refused")
    func outOfRange() throws {
        // Endpoint { port = 65536 }, Topic { id {}, replication_factor = 32768 }
        #expect(throws: SchemaError.malformed("port 65536 is out of range")) {
            try Endpoint(schemaBytes: [0x18, 0x80, 0x80, 0x04])
        }
        #expect(throws: SchemaError.malformed("replication factor 32768 is out of range")) {
            try Topic(schemaBytes: [0x0a, 0x00, 0x20, 0x80, 0x80, 0x02])
        }
    }

    @Test("an answer may hold a field that this build does not know")
    func unknownFieldOfAnAnswer() throws {
        let session = Session(id: SessionID(7), timeoutMilliseconds: 8, lastActiveMilliseconds: 9)
        #expect(try Session(schemaBytes: session.schemaBytes() + [0x78, 0x01]) == session)
    }
}
