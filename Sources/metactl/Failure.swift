/// How `metactl` ends. The numbers are an interface: scripts branch on them (docs/operations/metactl.md).
enum ExitStatus: Int32 {
    /// Everything that was asked for was done.
    case done = 0
    /// The cluster answered no; nothing was changed.
    case refused = 1
    /// The command line makes no sense; nothing was sent.
    case usage = 2
    /// No answer, and certainly nothing changed: no node reachable, no leader, overloaded, or a local file is unreadable.
    case unavailable = 3
    /// A change was sent and its answer is missing: it may have happened, or may yet happen.
    case unknownOutcome = 4
}

/// Why a command did not end well, in the form that is printed and that decides the exit status.
struct CommandFailure: Error, Hashable {
    /// Whether something may have changed although no answer says so.
    enum Outcome: String, Hashable {
        case definite
        case indefinite
    }

    var status: ExitStatus
    /// Stable, snake_case: a refusal's reason or a failure's code.
    var code: String
    /// What a caller can do about it: `refused`, `invalid_input`, `retriable`, `transient`, `fatal`.
    var category: String
    /// A sentence with the names and numbers of the case.
    var detail: String
    var outcome: Outcome

    init(
        status: ExitStatus, code: String, category: String, detail: String, outcome: Outcome = .definite
    ) {
        self.status = status
        self.code = code
        self.category = category
        self.detail = detail
        self.outcome = outcome
    }

    /// Something that was asked for by name is not there.
    static func notFound(code: String, _ detail: String) -> CommandFailure {
        CommandFailure(status: .refused, code: code, category: "refused", detail: detail)
    }

    static func unavailable(code: String, _ detail: String) -> CommandFailure {
        CommandFailure(status: .unavailable, code: code, category: "transient", detail: detail)
    }

    /// A value on the command line that only turned out to be wrong later.
    static func usage(_ detail: String) -> CommandFailure {
        CommandFailure(status: .usage, code: "invalid_argument", category: "invalid_input", detail: detail)
    }

    /// The one line that people see: what happened, its code, the particulars.
    var line: String {
        let kind: String
        switch status {
        case .done: kind = "done"
        case .refused: kind = "refused"
        case .usage: kind = "usage"
        case .unavailable: kind = "unavailable"
        case .unknownOutcome: kind = "outcome unknown"
        }
        let parts = kind == code ? [kind, detail] : [kind, code, detail]
        return (["metactl"] + parts.filter { !$0.isEmpty }).joined(separator: ": ")
    }
}

/// A failure as JSON on standard error.
struct FailureReport: Encodable {
    struct Body: Encodable {
        var category: String
        var code: String
        var detail: String
        var outcome: String
    }

    var error: Body

    init(_ failure: CommandFailure) {
        error = Body(
            category: failure.category, code: failure.code, detail: failure.detail, outcome: failure.outcome.rawValue)
    }
}
