import Hummingbird
import Logging
import Metrics
import Synchronization

/// What all pages of a listener have in common: they can only be read, what goes wrong is told as a problem, and requests are
/// counted and timed.
struct Pages: RouterMiddleware {
    let paths: Set<String>
    let logger: Logger
    private let figures = PageFigures()

    init(paths: Set<String>, logger: Logger) {
        self.paths = paths
        self.logger = logger
    }

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        let begun = ContinuousClock.now
        let response = try await answer(request, context, next)
        // A path that nobody serves has no series of its own: there are as many as callers can think of.
        let path = paths.contains(request.uri.path) ? request.uri.path : "other"
        figures.count(path, response.status.code, begun.duration(to: .now))
        return response
    }

    private func answer(
        _ request: Request, _ context: BasicRequestContext,
        _ next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        let path = request.uri.path
        // Of a page that there is, the router would say that there is none (RFC 9110, §15.5.6).
        guard request.method == .get || request.method == .head || !paths.contains(path) else {
            return problem(.methodNotAllowed, "this page can only be read", request, [.allow: "GET, HEAD"])
        }
        do {
            return try await next(request, context)
        } catch let error as any HTTPResponseError where error.status == .notFound {
            let known = paths.sorted().joined(separator: ", ")
            return problem(.notFound, "there is no such page; there are \(known)", request)
        } catch let error as any HTTPResponseError {
            return problem(error.status, "\(error)", request)
        } catch {
            logger.error("a page failed", metadata: ["path": "\(path)", "error": "\(error)"])
            return problem(.internalServerError, "the page could not be made", request)
        }
    }
}

extension Pages {
    private func problem(
        _ status: HTTPResponse.Status, _ detail: String, _ request: Request, _ headers: HTTPFields = [:]
    ) -> Response {
        // An answer to HEAD has no body (RFC 9110, §9.3.2).
        guard request.method != .head else { return Response(status: status, headers: headers) }
        let operation = "\(request.method) \(request.uri.path)"
        return ProblemDetails.response(status, detail, operation: operation, headers)
    }
}

/// Counters and timers of pages, made when they are first needed. There are as many as pages and statuses.
private final class PageFigures: Sendable {
    private struct Key: Hashable {
        var path: String
        var status: Int
    }

    private let counters = Mutex<[Key: Counter]>([:])
    private let timers = Mutex<[String: Timer]>([:])

    func count(_ path: String, _ status: Int, _ duration: Duration) {
        let counter = counters.withLock { counters in
            let key = Key(path: path, status: status)
            if let known = counters[key] { return known }
            let made = Counter(label: "http.requests", dimensions: [("path", path), ("status", "\(status)")])
            counters[key] = made
            return made
        }
        let timer = timers.withLock { timers in
            if let known = timers[path] { return known }
            let made = Timer(label: "http.request.duration", dimensions: [("path", path)])
            timers[path] = made
            return made
        }
        counter.increment()
        timer.record(duration: duration)
    }
}
