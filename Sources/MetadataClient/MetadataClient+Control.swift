import Wire

/// What operators' tools ask of one node about itself; it need not lead, nor know a leader. Asking again does no harm.
extension MetadataClient {
    /// What the node said.
    package struct ControlAnswer: Hashable, Sendable {
        /// False: nothing was changed.
        package var isDone: Bool
        package var detail: String
    }

    /// Changes how much the node logs, until it ends or its settings say something else.
    ///
    /// - Parameters:
    ///   - level: as in the settings, for example `debug`.
    ///   - component: of whose lines; nil for all.
    ///   - endpoint: one of those that the client was made with.
    package func setLogLevel(
        _ level: String, component: String? = nil, of endpoint: Endpoint, timeout: Duration? = nil
    ) async throws(MetadataError) -> ControlAnswer {
        try await control(.setLogLevel(level, component: component), of: endpoint, "setLogLevel", timeout)
    }

    /// Has the node read its settings again and take over what can be changed while it runs.
    package func reloadSettings(
        of endpoint: Endpoint, timeout: Duration? = nil
    ) async throws(MetadataError) -> ControlAnswer {
        try await control(.reload, of: endpoint, "reloadSettings", timeout)
    }

    private func control(
        _ control: NodeControl, of endpoint: Endpoint, _ operation: String, _ timeout: Duration?
    ) async throws(MetadataError) -> ControlAnswer {
        let answer = await ask(endpoint, control, timeout: timeout)
        return try answer.map { ControlAnswer(isDone: $0.isDone, detail: $0.detail) }
            .mapError { MetadataError($0, operation: operation) }.get()
    }
}
