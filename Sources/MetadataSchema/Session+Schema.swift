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
