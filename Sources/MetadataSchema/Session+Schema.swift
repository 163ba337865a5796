package import MetadataModel

extension Session: SchemaConvertible {
    package init(schema: ProtoSession) throws(SchemaError) {
        self.init(
            id: SessionID(schema.id), timeoutMilliseconds: schema.timeoutMilliseconds,
            lastActiveMilliseconds: schema.lastActiveMilliseconds)
    }

    package var schema: ProtoSession {
        var schema = ProtoSession()
        schema.id = id.rawValue
        schema.timeoutMilliseconds = timeoutMilliseconds
        schema.lastActiveMilliseconds = lastActiveMilliseconds
        return schema
    }
}

extension SessionState: SchemaConvertible {
    package init(schema: ProtoSessionState) throws(SchemaError) {
        guard schema.hasSession else { throw .malformed("session state without session") }
        self.init(
            session: try Session(schema: schema.session), acknowledgedBelow: schema.acknowledgedBelow,
            results: try converted(schema.results))
    }

    package var schema: ProtoSessionState {
        var schema = ProtoSessionState()
        schema.session = session.schema
        schema.acknowledgedBelow = acknowledgedBelow
        schema.results = results.map(\.schema)
        return schema
    }
}

extension SessionResult: SchemaConvertible {
    package init(schema: ProtoSessionResult) throws(SchemaError) {
        guard schema.hasOutcome else { throw .malformed("session result without outcome") }
        self.init(sequence: schema.sequence, outcome: try CommandOutcome(schema: schema.outcome))
    }

    package var schema: ProtoSessionResult {
        var schema = ProtoSessionResult()
        schema.sequence = sequence
        schema.outcome = outcome.schema
        return schema
    }
}
