package import MetadataModel

extension LogCommand {
    /// What a `.command` log entry says, whatever its bytes are. An entry that this build does not understand has no
    /// command, and every node answers it with the same refusal; it has no session either when its header is not
    /// understood. Time zero moves the log's time nowhere, since that never goes back.
    package init(decoding payload: [UInt8]) {
        do {
            let header = try LogEnvelopeHeader(decoding: payload)
            self.init(
                timeMilliseconds: header.timeMilliseconds, session: header.session, sequence: header.sequence,
                acknowledgedBelow: header.acknowledgedBelow, command: LogEnvelope.command(in: payload))
        } catch {
            self.init(timeMilliseconds: 0, session: nil, sequence: 0, acknowledgedBelow: 0, command: nil)
        }
    }
}

extension LogEnvelope {
    /// The same as encoding and decoding: nil for a command that this build does not understand.
    package func logCommand() -> LogCommand {
        LogCommand(
            timeMilliseconds: timeMilliseconds, session: session, sequence: sequence,
            acknowledgedBelow: acknowledgedBelow, command: command())
    }

    /// The command behind the header of an encoded envelope, without a copy of its bytes.
    fileprivate static func command(in payload: [UInt8]) -> Command? {
        do {
            return try Command(schemaSpan: payload.span.bytes.extracting(droppingFirst: headerBytes))
        } catch {
            return nil
        }
    }
}
