import Logging
import NIOCore
import Replica
import Telemetry
import Wire

/// What operators ask of this node about itself. Every request leaves a line in the log: who, from where, what, with which result.
extension Node {
    func received(_ control: NodeControl, _ token: RequestToken, on connection: ClientConnection) {
        switch control {
        case .setLogLevel(let name, let component):
            let answer = setLogLevel(name, component: component)
            connection.audit(token.request, as: "log-level \(name) of \(component ?? "all")")
            respond(to: token, .control(answer))
        case .reload:
            connection.audit(token.request, as: "reload")
            let bound = loopBound
            let loop = eventLoop
            administration.reloads.request(by: "\(connection.clientName) at \(connection.remote)") { outcome in
                loop.execute {
                    let answer = NodeControlAnswer(isDone: outcome.isDone, detail: outcome.detail)
                    bound.value.reloaded(answer, token)
                }
            }
        }
    }

    private func reloaded(_ answer: NodeControlAnswer, _ token: RequestToken) {
        respond(to: token, .control(answer))
        endTurnSoon()
    }

    private func setLogLevel(_ name: String, component: String?) -> NodeControlAnswer {
        let logs = administration.logs
        guard let level = Logger.Level(rawValue: name) else {
            let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            return NodeControlAnswer(isDone: false, detail: "there is no level \(name); levels are \(names)")
        }
        guard logs.set(level, component: component) else {
            return NodeControlAnswer(
                isDone: false,
                detail: "node \(settings.id) has no component \(component ?? ""); it has "
                    + logs.components.joined(separator: ", "))
        }
        return NodeControlAnswer(
            isDone: true, detail: "node \(settings.id) logs \(component ?? "everything") from \(name) on")
    }

    /// Settings that were read again.
    func take(over settings: NodeSettings) {
        self.settings.clientConnectionsMax = settings.clientConnectionsMax
        self.settings.scrubInterval = settings.scrubInterval
        self.settings.replica.diskLowBytes = settings.replica.diskLowBytes
        self.settings.replica.diskHighBytes = settings.replica.diskHighBytes
        replica.configure(settings.replica)
        endTurnSoon()
    }
}
