import Dispatch
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

/// Names of machines, some of which nobody answers for.
@Suite("Looking up names", .timeLimit(.minutes(1)))
struct NameLookupTests {
    /// Answers at once but for `slow`, and for `gone`, which is answered once it is released.
    private final class Servers: Sendable {
        let asked = Mutex<[String]>([])
        private let release = DispatchSemaphore(value: 0)

        func answer(_ host: String, _ port: Int) throws -> [SocketAddress] {
            asked.withLock { $0.append(host) }
            if host == "gone" {
                release.wait()
                throw UnknownHost(host: host, reason: "no answer")
            }
            if host == "slow" { Thread.sleep(forTimeInterval: 0.5) }
            return [
                try SocketAddress(ipAddress: "127.0.0.1", port: port), try SocketAddress(ipAddress: "::1", port: port),
            ]
        }

        func answerGone() { release.signal() }
    }

    private let loop = MultiThreadedEventLoopGroup.singleton.any()

    private func addresses(_ lookup: NameLookup, _ host: String) async throws -> (ipv6: [String], ipv4: [String]) {
        let ipv6 = lookup.initiateAAAAQuery(host: host, port: 7_500)
        let ipv4 = lookup.initiateAQuery(host: host, port: 7_500)
        func text(_ addresses: [SocketAddress]) -> [String] {
            addresses.map { "\($0.ipAddress ?? "?") \($0.port ?? 0)" }
        }
        return (text(try await ipv6.get()), text(try await ipv4.get()))
    }

    @Test("a name that nobody answers for holds up no other, and is asked for once however many wait")
    func gone() async throws {
        let servers = Servers()
        let names = KnownNames(lookup: servers.answer)
        let waiting = (1...3).map { _ in
            let lookup = NameLookup(on: loop, of: names)
            return (lookup.initiateAAAAQuery(host: "gone", port: 1), lookup.initiateAQuery(host: "gone", port: 1))
        }
        for _ in 1...2 {
            let found = try await addresses(NameLookup(on: loop, of: names), "here")
            #expect(found.ipv6 == ["::1 7500"] && found.ipv4 == ["127.0.0.1 7500"])
        }
        #expect(servers.asked.withLock { $0.count { $0 == "here" } } == 2)
        servers.answerGone()
        for (ipv6, ipv4) in waiting {
            await #expect(throws: UnknownHost.self) { try await ipv6.get() }
            await #expect(throws: UnknownHost.self) { try await ipv4.get() }
        }
        #expect(servers.asked.withLock { $0.count { $0 == "gone" } } == 1)
        // It may be there by now.
        servers.answerGone()
        await #expect(throws: UnknownHost.self) {
            _ = try await addresses(NameLookup(on: loop, of: names), "gone")
        }
        #expect(servers.asked.withLock { $0.count { $0 == "gone" } } == 2)
    }

    @Test("an answer that came late serves the next who asks, and nobody after that")
    func late() async throws {
        let servers = Servers()
        let names = KnownNames(lookup: servers.answer)
        for count in [1, 1, 2] {
            #expect(try await addresses(NameLookup(on: loop, of: names), "slow").ipv4 == ["127.0.0.1 7500"])
            #expect(servers.asked.withLock(\.count) == count)
        }
    }

    @Test("the system knows this machine, and addresses that need no lookup")
    func system() async throws {
        let found = try await addresses(NameLookup(on: loop), "localhost")
        #expect(found.ipv4.contains("127.0.0.1 7500"))
        let numeric = try await addresses(NameLookup(on: loop), "::1")
        #expect(numeric.ipv6 == ["::1 7500"] && numeric.ipv4.isEmpty)
    }
}
