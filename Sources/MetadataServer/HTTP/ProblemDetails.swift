import Hummingbird
import NIOCore
import Telemetry

/// Why a request over HTTP was not answered as asked (RFC 9457, Problem Details for HTTP APIs), with the members by which all
/// our errors are told: code, category, outcome, operation, time.
enum ProblemDetails {
    private static let mediaType = "application/problem+json"

    /// - Parameter operation: the method and the path.
    static func response(
        _ status: HTTPResponse.Status, _ detail: String, operation: String, _ fields: HTTPFields = [:]
    ) -> Response {
        let json = JSONText.object { json in
            // Nothing is said beyond the status and `code`.
            json.member("type", "about:blank")
            json.member("title", status.reasonPhrase)
            json.member("status", status.code)
            json.member("detail", detail)
            json.member("code", code(status))
            json.member(
                "category",
                status == .serviceUnavailable ? "transient" : status.code < 500 ? "invalid_input" : "fatal")
            // Nothing is ever changed over HTTP when this is sent.
            json.member("outcome", "definite")
            json.member("operation", operation)
            json.member("timestamp", "\(Timestamp.now())")
        }
        var headers = fields
        headers[.contentType] = mediaType
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: json)))
    }

    private static func code(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .notFound: "not_found"
        case .methodNotAllowed: "method_not_allowed"
        case .serviceUnavailable: "unavailable"
        default: status.code < 500 ? "invalid_request" : "internal"
        }
    }
}
