/// What `metactl validate` has found, check by check.
struct Validation: Encodable, Equatable {
    enum Result: String, Encodable {
        case ok
        case failed
        /// It was not asked for, or what it needs is not there.
        case skipped
    }

    struct Check: Report, Equatable {
        var name: String
        var result: Result
        var milliseconds: Double
        /// What was seen, or why it failed.
        var detail: String

        var table: String {
            let mark = result == .ok ? "ok  " : result == .failed ? "FAIL" : "skip"
            let time = "\(Int(milliseconds.rounded())) ms".paddedLeft(8)
            return "\(mark) \(time)  \(name)\(detail.isEmpty ? "" : ": \(detail)")".printable
        }
    }

    var checks: [Check] = []

    var failures: [Check] { checks.filter { $0.result == .failed } }
    var status: Result { failures.isEmpty ? .ok : .failed }

    enum CodingKeys: String, CodingKey {
        case status
        case checks
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(status, forKey: .status)
        try container.encode(checks, forKey: .checks)
    }
}

/// A check has found that something does not work.
struct ValidationFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// A check cannot be made here, and that is no failure.
struct ValidationSkipped: Error {
    var reason: String
}
