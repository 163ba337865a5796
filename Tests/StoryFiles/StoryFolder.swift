package import Foundation

/// A folder of stories. `REWRITE_SCENARIOS=1` writes what really happens into the files, to be reviewed like code.
package struct StoryFolder: Sendable {
    package let url: URL

    /// The folder `Scenarios` beside a source file.
    package init(besides file: String) {
        url = URL(filePath: file).deletingLastPathComponent().appending(path: "Scenarios")
    }

    package func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: url.path).filter { $0.hasSuffix(".txt") }.sorted()
    }

    /// Tells a story and says how it differs from its file; nil when it does not.
    package func difference<Teller: StoryTeller>(in name: String, toldBy teller: Teller.Type) throws -> String? {
        let file = url.appending(path: name)
        let expected = try String(contentsOf: file, encoding: .utf8)
        guard expected.hasPrefix("# ") else { return "\(name) does not say what it is about" }
        let actual = try Story.tell(expected, by: teller)
        if ProcessInfo.processInfo.environment["REWRITE_SCENARIOS"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
            return nil
        }
        guard actual != expected else { return nil }
        let (left, right) = (expected.split(separator: "\n"), actual.split(separator: "\n"))
        let line = zip(left, right).prefix { $0 == $1 }.count
        return """
            \(name) differs at its line of text \(line + 1):
            expected: \(line < left.count ? left[line] : "the end")
            actual:   \(line < right.count ? right[line] : "the end")
            \(right[max(0, line - 10)..<min(right.count, line + 5)].joined(separator: "\n"))
            """
    }
}
