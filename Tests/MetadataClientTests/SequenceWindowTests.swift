import MetadataModel
import Testing

@testable import MetadataClient

@Suite("SequenceWindow")
struct SequenceWindowTests {
    @Test("no more numbers are out than the state machine keeps results for")
    func width() {
        var window = SequenceWindow()
        let taken = (0..<Limits.sessionWindow).compactMap { _ in window.take() }
        #expect(taken == Array(1...Limits.sessionWindow))
        #expect(!window.hasRoom)
        let beyond = window.take()
        #expect(beyond == nil)
        window.settle(1)
        let after = window.take()
        #expect(after == Limits.sessionWindow + 1)
        let beyondAgain = window.take()
        #expect(beyondAgain == nil)
    }

    @Test("what is acknowledged stops at the lowest number without an answer")
    func acknowledgedBelow() {
        var window = SequenceWindow(width: 8)
        for _ in 0..<5 { _ = window.take() }
        window.settle(2)
        window.settle(3)
        #expect(window.acknowledgedBelow == 1)
        window.settle(1)
        #expect(window.acknowledgedBelow == 4)
        window.settle(5)
        #expect(window.acknowledgedBelow == 4)
        window.settle(4)
        #expect(window.acknowledgedBelow == 6)
        #expect(window.next == 6)
    }

    @Test("an answer that comes twice changes nothing")
    func twice() {
        var window = SequenceWindow(width: 8)
        _ = window.take()
        _ = window.take()
        window.settle(1)
        let before = window
        window.settle(1)
        #expect(window == before)
    }
}

@Suite("LeaderView")
struct LeaderViewTests {
    let first = NodeKey(index: 0)
    let second = NodeKey(index: 1)

    @Test("a higher term wins, a lower one is old news")
    func terms() {
        var view = LeaderView()
        let isNew = view.named(first, term: 3, byItself: false)
        #expect(isNew)
        let isOldNew = view.named(second, term: 2, byItself: true)
        #expect(!isOldNew)
        #expect(view.node == first)
        let isHigherNew = view.named(second, term: 4, byItself: false)
        #expect(isHigherNew)
        #expect(view.node == second)
        #expect(view.term == 4)
    }

    @Test("after a leader denied, only itself or a higher term brings it back")
    func denied() {
        var view = LeaderView()
        _ = view.named(first, term: 3, byItself: true)
        let isDeniedByOther = view.denied(by: second)
        #expect(!isDeniedByOther)
        let isDenied = view.denied(by: first)
        #expect(isDenied)
        #expect(view.node == nil)
        let isHearsayNew = view.named(first, term: 3, byItself: false)
        #expect(!isHearsayNew)
        #expect(view.node == nil)
        let isOwnWordNew = view.named(first, term: 3, byItself: true)
        #expect(isOwnWordNew)
        #expect(view.node == first)
    }

    @Test("what was forgotten no longer outranks a cluster that went back")
    func forget() {
        var view = LeaderView()
        _ = view.named(first, term: 30, byItself: true)
        view.forget()
        #expect(view.node == nil)
        let isNew = view.named(second, term: 1, byItself: false)
        #expect(isNew)
    }
}

@Suite("Endpoint")
struct EndpointTests {
    typealias Endpoint = MetadataClient.Endpoint

    @Test(
        "an endpoint reads what it writes",
        arguments: [
            ("localhost:9092", "localhost", 9_092), ("10.0.0.1:1", "10.0.0.1", 1), ("[::1]:65535", "::1", 65_535),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ] as [(String, String, UInt16)])
    func parses(text: String, host: String, port: UInt16) {
        #expect(Endpoint(parsing: text) == Endpoint(host: host, port: port))
        #expect(Endpoint(host: host, port: port).description == text)
    }

    @Test(
        "what is no host and port is refused",
        arguments: [
            "", "localhost", ":9092", "localhost:", "localhost:0", "localhost:65536", "localhost:+1", "localhost:9 2",
            "::1:9092", "[::1]", "[::1", "[]:1", "a b:1", "[[::1]]:1", String(repeating: "a", count: 256) + ":1",
        ])
    func refuses(text: String) {
        #expect(Endpoint(parsing: text) == nil)
    }
}
