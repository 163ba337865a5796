import MetadataClient

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
    /// Something was changed, or may have been or may yet be, and not all that was asked for is known to be done: a change
    /// was sent and its answer is missing, or what had to follow a change failed.
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

    /// What failed behind a change that was made: taken by itself it would say that nothing was changed.
    ///
    /// - Parameter done: what was done, as a sentence part: `node 4 was added`.
    init(after done: String, _ error: any Error) {
        let failure: CommandFailure
        switch error {
        case let known as CommandFailure: failure = known
        case let known as MetadataError: failure = CommandFailure(known)
        default: failure = .unavailable(code: "local_failure", "\(error)")
        }
        self.init(
            status: .unknownOutcome, code: failure.code, category: failure.category,
            detail: "\(done); then: \(failure.detail)", outcome: .indefinite)
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
