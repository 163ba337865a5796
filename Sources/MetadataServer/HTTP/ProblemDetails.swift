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

    init(_ error: HTTPError, operation: String, now: Date = Date()) {
        status = error.status.code
        title = error.status.reasonPhrase
        detail = error.body ?? title
        code =
            switch error.status {
            case .notFound: "not_found"
            case .methodNotAllowed: "method_not_allowed"
            case .badRequest: "invalid_request"
            case .serviceUnavailable: "unavailable"
            default: error.status.code < 500 ? "invalid_request" : "internal"
            }
        category = error.status == .serviceUnavailable ? "transient" : status < 500 ? "invalid_input" : "fatal"
        self.operation = operation
        timestamp = now.formatted(.iso8601)
    }

    func response(headers: HTTPFields) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var headers = headers
        headers[.contentType] = ProblemDetails.mediaType
        headers[.cacheControl] = "no-store"
        return Response(
            status: .init(code: status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try encoder.encode(self))))
    }
}

/// Tells every error of the pages in the form of `ProblemDetails`.
struct TellsProblems: RouterMiddleware {
    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError {
            // An answer to HEAD has no body (RFC 9110, §9.3.2).
            guard request.method != .head else { return Response(status: error.status, headers: error.headers) }
            let problem = ProblemDetails(error, operation: "\(request.method) \(request.uri.path)")
            return try problem.response(headers: error.headers)
        }
    }
}
