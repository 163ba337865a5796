import Foundation
import Testing

/// Protocol stories. `REWRITE_SCENARIOS=1 swift test --filter ScenarioTests` writes what really happens into the files,
/// to be reviewed like code.
@Suite struct ScenarioTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scenarios")

    static func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".txt") }.sorted()
    }

    @Test("scenario files are found, so that an empty folder cannot pass")
    func scenariosExist() throws {
        #expect(try Self.names().count >= 15)
    }

    @Test("members tell the story that the scenario file tells", arguments: try names())
    func scenario(_ name: String) throws {
        let file = Self.folder.appending(path: name)
        let expected = try String(contentsOf: file, encoding: .utf8)
        let actual = try Scenario.run(expected)
        if ProcessInfo.processInfo.environment["REWRITE_SCENARIOS"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
            return
        }
        guard actual != expected else { return }
        let (left, right) = (expected.split(separator: "\n"), actual.split(separator: "\n"))
        let line = zip(left, right).prefix { $0 == $1 }.count
        Issue.record(
            """
            \(name) differs at its line of text \(line + 1):
            expected: \(line < left.count ? left[line] : "the end")
            actual:   \(line < right.count ? right[line] : "the end")
            \(right[max(0, line - 10)..<min(right.count, line + 5)].joined(separator: "\n"))
            """)
    }
}
