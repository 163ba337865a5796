/// What a look at one part of the node has found.
package struct CheckResult: Hashable, Sendable {
    package enum Status: String, Hashable, Sendable {
        case pass
        /// It works, and somebody should look.
        case warn
        case fail
    }

    package var status: Status
    /// In words; empty where there is nothing to say.
    package var detail: String

    package init(_ status: Status, _ detail: String = "") {
        self.status = status
        self.detail = detail
    }

    package static let pass = CheckResult(.pass)
    package static func pass(_ detail: String) -> CheckResult { CheckResult(.pass, detail) }
    package static func warn(_ detail: String) -> CheckResult { CheckResult(.warn, detail) }
    package static func fail(_ detail: String) -> CheckResult { CheckResult(.fail, detail) }

    var isFailure: Bool { status == .fail }
}
