import Foundation
import MetadataClient
import Telemetry

/// What a node says on its page `/health`, as far as it is looked at.
struct HealthPage: Decodable, Equatable, Sendable {
    struct Check: Decodable, Equatable, Sendable {
        var status: String
        var output: String?
        var since: String?
    }

    struct Store: Decodable, Equatable, Sendable {
        var freeBytes: UInt64
    }

    struct Brokers: Decodable, Equatable, Sendable {
        var registered: Int
        var active: Int
    }

    var status: String
    var reasons: [String]
    /// By `component:measurement`.
    var checks: [String: [Check]]
    var store: Store
    var brokers: Brokers

    static func decoded(_ data: Data) throws -> HealthPage {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(HealthPage.self, from: data)
    }
}

/// One page of a node, as it was answered.
struct PageAnswer: Equatable, Sendable {
    /// Nil: there was no answer.
    var status: Int?
    var milliseconds: Double
    /// Why there was none.
    var problem: String?
}

/// The pages of one node's health port.
struct HealthPages: Equatable, Sendable {
    static let paths = ["/health/live", "/health/ready", "/health/raft", "/health"]

    /// By path.
    var answers: [String: PageAnswer]
    var page: HealthPage?

    /// - Parameter address: such as `http://10.0.0.1:8080`.
    ///
    /// Asks for one page after the other: whoever is slow is slow once, and the time is known for each.
    static func fetch(from address: String, timeout: Duration) async -> HealthPages {
        var pages = HealthPages(answers: [:], page: nil)
        for path in paths {
            let begun = ContinuousClock.now
            func passed() -> Double { begun.duration(to: .now) / .milliseconds(1) }
            guard let endpoint = HTTPEndpoint(address + path) else {
                pages.answers[path] = PageAnswer(milliseconds: 0, problem: "\(address) is not http://host:port")
                continue
            }
            do {
                let answer = try await HTTPExchange.get(endpoint, timeout: timeout)
                pages.answers[path] = PageAnswer(status: answer.status, milliseconds: passed())
                if path == "/health" { pages.page = try HealthPage.decoded(Data(answer.body)) }
            } catch let error as DecodingError {
                pages.answers[path]?.problem = "not a health page: \(error)"
            } catch {
                pages.answers[path] = PageAnswer(milliseconds: passed(), problem: describe(error))
            }
        }
        return pages
    }
}
