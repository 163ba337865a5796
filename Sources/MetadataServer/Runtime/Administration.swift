import Telemetry

/// What operators may change about a running node besides its data.
package struct Administration: Sendable {
    package var logs: LogControl
    package var reloads: ConfigurationReloads

    package init(logs: LogControl, reloads: ConfigurationReloads) {
        self.logs = logs
        self.reloads = reloads
    }
}
