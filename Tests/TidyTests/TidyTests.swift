import Testing

@Suite("Tidiness")
struct TidyTests {
    @Test("the sources keep the rule", arguments: Rule.all)
    func sources(rule: Rule) throws {
        let files = try RepositoryFiles.swiftFiles.get()
        #expect(files.count > 50, "too few files were found for the rule to mean anything")
        let found = files.flatMap { rule.violations(in: $0) }
        #expect(found == [], "\(found.map(\.description).joined(separator: "\n"))")
    }

    @Test(
        "the example of a page is the one that a test compiles",
        arguments: [("README.md", "ReadmeExample.swift"), ("docs/client.md", "BrokerExample.swift")])
    func example(page: String, file: String) throws {
        let readme = try RepositoryFiles.text(page)
        let compiled = try RepositoryFiles.text("Tests/MetadataClientTests/\(file)")
        let block = try #require(readme.firstMatch(of: /```swift\n((?:.*\n)*?)```/)).1
        func lines(_ text: some StringProtocol) -> [String] {
            text.split(separator: "\n").map { String($0.drop { $0 == " " }) }
        }
        let wanted = lines(block)
        let found = lines(compiled)
        #expect(wanted.count >= 8)
        #expect(
            found.indices.contains { found[$0...].starts(with: wanted) }, "\(page) and \(file) differ")
    }

    @Test("what the pages about Raft and about mistakes name is there: functions, tests, stories")
    func namedCode() throws {
        let code = DeclaredNames(try RepositoryFiles.swiftFiles.get(), stories: try RepositoryFiles.storyNames())
        for path in ["docs/raft.md", "docs/testing/mistakes.md"] {
            let names = DeclaredNames.mentioned(in: try RepositoryFiles.text(path))
            #expect(names.count > 60, "too few names were found in \(path) for the rule to mean anything")
            let missing = names.filter { !code.holds($0.name) }.map { "\(path):\($0.line): \($0.name)" }
            #expect(missing == [], "\(missing.joined(separator: "\n"))")
        }
    }

    @Test("every code that a caller can meet stands on the page about errors")
    func errorCodes() throws {
        let page = try RepositoryFiles.text("docs/errors.md")
        var codes: [String] = []
        for file in try RepositoryFiles.swiftFiles.get() where file.path.hasPrefix("Sources/") {
            codes += ErrorCodes.declared(in: file)
            if file.path.hasPrefix("Sources/metactl/") { codes += ErrorCodes.used(in: file) }
        }
        #expect(codes.count > 80, "too few codes were found for the rule to mean anything")
        let missing = Set(codes).filter { !page.contains("`\($0)`") }.sorted()
        #expect(missing == [])
    }

    @Test("the page about monitoring has a row for every metric of a node, and none for another")
    func metrics() throws {
        let made = try RepositoryFiles.swiftFiles.get().filter { $0.path.hasPrefix("Sources/") }
            .flatMap(MetricNames.made)
        let listed = MetricNames.listed(on: try RepositoryFiles.text("docs/operations/monitor.md"))
        #expect(Set(made).count > 60, "too few metrics were found for the rule to mean anything")
        #expect(Set(made).subtracting(listed).sorted() == [], "metrics without a row")
        #expect(Set(listed).subtracting(made).sorted() == [], "rows without a metric")
        #expect(listed.count == Set(listed).count, "a metric has two rows")
    }

    @Test("every relative link of the pages leads to a file, and its anchor to a heading")
    func links() throws {
        let pages = try RepositoryFiles.markdownPages()
        let byPath = Dictionary(pages.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        var broken: [String] = []
        for page in pages {
            for link in page.relativeLinks {
                let (path, anchor) = page.resolve(link)
                if !RepositoryFiles.exists(path) {
                    broken.append("\(page.path):\(link.line): \(link.target) leads nowhere")
                } else if let anchor, let target = byPath[path], !target.anchors.contains(anchor) {
                    broken.append("\(page.path):\(link.line): \(path) has no heading \(anchor)")
                }
            }
        }
        #expect(broken == [])
    }
}

@Suite("Tidiness rules find what they look for")
struct TidyRuleTests {
    /// A rule, a text that breaks it in its second line, and one that does not.
    struct Planted: Sendable, CustomStringConvertible {
        var rule: Rule
        var path: String
        var bad: String
        var good: String

        var description: String { "\(rule.name): \(bad)" }
    }

    static let examples: [Planted] = [
        Planted(
            rule: .pureImports, path: "Sources/RaftCore/A.swift", bad: "import Foundation", good: "import Collections"),
        Planted(
            rule: .pureImports, path: "Sources/Replica/A.swift", bad: "  package import struct NIOCore.ByteBuffer",
            good: "public import RaftCore"),
        Planted(
            rule: .pureImports, path: "Sources/Resilience/A.swift", bad: "@preconcurrency import Dispatch",
            good: "// import Dispatch"),
        Planted(
            rule: .noClocks, path: "Sources/Coordination/A.swift", bad: "let now = ContinuousClock.now",
            good: "let text = \"ContinuousClock\""),
        Planted(rule: .noClocks, path: "Sources/MetadataModel/A.swift", bad: "let now = Date()", good: "update(tick)"),
        Planted(
            rule: .noUnseededRandomness, path: "Sources/RaftCore/A.swift", bad: "let x = Int.random(in: 0..<(2 + 3))",
            good: "let x = Int.random(\n  in: 0..<(2 + 3),\n  using: &generator)"),
        Planted(
            rule: .noUnseededRandomness, path: "Sources/RaftCore/A.swift", bad: "peers.shuffle()",
            good: "peers.shuffle(using: &generator)"),
        Planted(
            rule: .noUnseededRandomness, path: "Sources/RaftCore/A.swift", bad: "var g = SystemRandomNumberGenerator()",
            good: "/* SystemRandomNumberGenerator /* nested */ still */"),
        Planted(rule: .storageImports, path: "Sources/RaftLog/A.swift", bad: "import NIOPosix", good: "import CZlib"),
        Planted(
            rule: .noTasks, path: "Sources/MetadataStore/A.swift", bad: "Task { await run() }", good: "let TaskID = 1"),
        Planted(rule: .noForce, path: "Sources/Wire/A.swift", bad: "let a = try! make()", good: "if a != b { !c }"),
        Planted(
            rule: .noForce, path: "Sources/Wire/A.swift", bad: "let a = list.first!.name", good: "let a = #\"x!\"#"),
        Planted(
            rule: .noForce, path: "Sources/Wire/A.swift", bad: "let a = b as! C", good: "let a = \"\"\"\n\"b!\n\"\"\""),
        Planted(
            rule: .noCrash, path: "Sources/metad/A.swift", bad: "fatalError(\"no\")",
            good: "preconditionFailure(\"no\")"),
        Planted(
            rule: .noSilentTry, path: "Sources/metactl/A.swift", bad: "let a = try? read()",
            good: "// Absent is as good as unreadable here.\nlet a = try? read()"),
        Planted(
            rule: .explainedSendable, path: "Sources/Wire/A.swift", bad: "final class A: @unchecked Sendable {}",
            good: "/// Confined to its loop.\n@frozen\nfinal class A: @unchecked Sendable {}"),
        Planted(
            rule: .explainedSendable, path: "Sources/Wire/A.swift", bad: "nonisolated(unsafe) var a = 1",
            good: "nonisolated(unsafe) var a = 1  // Set once, before any thread starts."),
        Planted(rule: .noLeftovers, path: "Tests/A.swift", bad: "// TO" + "DO: more", good: "// Done."),
        Planted(
            rule: .fileLength, path: "Tests/A.swift", bad: String(repeating: "\n", count: 800) + "x",
            good: String(repeating: "x\n", count: 798)),
    ]

    @Test("a rule finds the planted line, and nothing in the line that only looks like it", arguments: examples)
    func planted(example: Planted) {
        let bad = SourceFile(path: example.path, text: "let first = 1\n" + example.bad + "\n")
        #expect(example.rule.violations(in: bad).count == 1)
        let good = SourceFile(path: example.path, text: "let first = 1\n" + example.good + "\n")
        #expect(example.rule.violations(in: good) == [])
    }

    @Test("every rule has a planted example")
    func completeness() {
        let tested = Set(Self.examples.map(\.rule.name))
        #expect(Rule.all.map(\.name).filter { !tested.contains($0) } == [])
    }

    @Test("a name on a page is found where it is declared, and only there")
    func declaredNames() {
        let file = SourceFile(
            path: "Tests/ATests/A.swift",
            text:
                "struct ATests {\n  // func gone() {}\n  func stays() {}\n  case one, two(Int)\n}\nextension B.C {\n  var d = 1\n}\n"
        )
        let code = DeclaredNames([file], stories: ["vote.txt", "vote-lost.txt"])
        for name in [
            "stays", "ATests.stays", "stays()", "stays(a:b:)", "two", "C.d", "vote.txt", "vote*.txt", "ATests",
        ] {
            #expect(code.holds(name), "\(name)")
        }
        for name in ["gone", "ATests.gone", "BTests.stays", "ote.txt", "veto*.txt", "Int"] {
            #expect(!code.holds(name), "\(name)")
        }
        let page = "a `stays` b `swift test` `x.txt`\n```\n`no`\n```\n| `A.b(c:)` | `a < b` |"
        #expect(DeclaredNames.mentioned(in: page).map(\.name) == ["stays", "x.txt", "A.b(c:)"])
        #expect(DeclaredNames.mentioned(in: page).map(\.line) == [1, 1, 5])
    }

    @Test("a code is found where it is declared, with or without a text of its own, and where it is used")
    func errorCodes() {
        let file = SourceFile(
            path: "Sources/Wire/A.swift",
            text: """
                enum Code: String {
                    /// Not `this`.
                    case refused, other
                    case timedOut = "timed_out"
                }
                enum Kind: String { case unrelated }
                throw .local("no_room", "detail")
                throw F(code: "a_b", detail: "c")
                throw .refused(
                    "of_two_lines", "x")
                """)
        #expect(ErrorCodes.declared(in: file) == ["refused", "other", "timed_out"])
        #expect(ErrorCodes.used(in: file) == ["no_room", "a_b", "of_two_lines"])
    }

    @Test("a metric is found where it is made, and on the page where its row is")
    func metricNames() {
        let file = SourceFile(
            path: "Sources/Telemetry/A.swift",
            text: """
                registry.counter("a_total", help: "b_total")
                let x = registry.gauge(
                    "b_count", help: "")
                // registry.gauge("not_this")
                registry.gauges("c", label: "d"); state.families["e_total"] = Family("f")
                Counter(label: "g.h"), Timer(label: "g.h", dimensions: [])
                """)
        #expect(
            MetricNames.made(in: file) == ["a_total", "b_count", "c", "e_total", "g_h_total", "g_h_seconds"])
        let page = "| `a_total`, `b_count{x}` | like `not_this` | - |\n`nor_this`\n| `path.yaml` | 1 |"
        #expect(MetricNames.listed(on: page) == ["a_total", "b_count"])
    }

    @Test("a finding names the file and the line")
    func position() {
        let file = SourceFile(path: "Sources/Wire/A.swift", text: "/* a\n b */\nlet a = try! b()\n")
        #expect(
            Rule.noForce.violations(in: file) == [
                Violation(path: "Sources/Wire/A.swift", line: 3, text: "let a = try! b()")
            ])
    }

    @Test("a rule for some targets leaves the others alone")
    func scope() {
        let file = SourceFile(path: "Sources/MetadataServer/A.swift", text: "import Foundation\n")
        #expect(Rule.pureImports.violations(in: file) == [])
    }

    @Test("blanking keeps every line and its length")
    func blanking() {
        let text = "a \"x\\\"y\" b // c\n\"\"\"\n \"q\" \n\"\"\" d\n#\"\\\"#e /* f\n */ g"
        let blanked = SourceScanner.blanked(text)
        #expect(blanked == "a        b     \n   \n     \n    d\n     e     \n    g")
    }

    @Test("links are found in prose, not in code, and are taken from the folder of their page")
    func links() {
        let page = MarkdownPage(
            path: "docs/a/page.md",
            text: """
                # A `b`: c-d, e
                [one](../b.md#x) and [two](https://example.org) `[no](no.md)`
                ```
                [no](no.md)
                ```
                [self](#a-b-c-d-e) ![image](./i.png "title")
                """)
        #expect(page.relativeLinks.map(\.target) == ["../b.md#x", "#a-b-c-d-e", "./i.png"])
        #expect(page.relativeLinks.map(\.line) == [2, 6, 6])
        let resolved = page.relativeLinks.map { page.resolve($0) }
        #expect(resolved.map(\.path) == ["docs/b.md", "docs/a/page.md", "docs/a/i.png"])
        #expect(resolved.map(\.anchor) == ["x", "a-b-c-d-e", nil])
    }
}
