import Foundation
import Hummingbird
import NIOCore

/// Why a request over HTTP was not answered as asked (RFC 9457, Problem Details for HTTP APIs), with the members by which all
/// our errors are told: code, category, outcome, operation, time.
struct ProblemDetails: Encodable, Equatable {
    static let mediaType = "application/problem+json"

    /// Nothing is said beyond the status and `code`.
    var type = "about:blank"
    var title: String
    var status: Int
    var detail: String
    var code: String
    /// `retriable`, `transient`, `fatal` or `invalid_input`.
    var category: String
    /// Nothing is ever changed over HTTP when this is sent.
    var outcome = "definite"
    /// The method and the path.
    var operation: String
    /// ISO 8601, by the clock of the node.
    var timestamp: String

    init(_ status: HTTPResponse.Status, _ detail: String, operation: String, now: Date = Date()) {
        self.status = status.code
        title = status.reasonPhrase
        self.detail = detail
        code =
            switch status {
            case .notFound: "not_found"
            case .methodNotAllowed: "method_not_allowed"
            case .serviceUnavailable: "unavailable"
            default: status.code < 500 ? "invalid_request" : "internal"
            }
        category = status == .serviceUnavailable ? "transient" : status.code < 500 ? "invalid_input" : "fatal"
        self.operation = operation
        timestamp = now.formatted(.iso8601)
    }

    func response(_ fields: HTTPFields = [:]) throws -> Response {
        var headers = fields
        headers[.contentType] = ProblemDetails.mediaType
        headers[.cacheControl] = "no-store"
        return Response(
            status: .init(code: status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try HealthReport.encode(self))))
    }
}
