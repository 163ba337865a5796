import Foundation

/// The files of this repository, found from the place of this one.
enum RepositoryFiles {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Swift files that people wrote, by path from the root; read and scanned once for all rules.
    static let swiftFiles = Result {
        try ["Sources", "Tests", "ChaosTests"].flatMap { try paths(in: $0, suffix: ".swift") }
            .filter { !$0.contains("/Generated/") }
            .map { SourceFile(path: $0, text: try text($0)) }
    }

    /// The pages that the repository shows.
    static func markdownPages() throws -> [MarkdownPage] {
        let pages = try ["docs", "ChaosTests"].flatMap { try paths(in: $0, suffix: ".md") } + ["README.md"]
        return try pages.map { MarkdownPage(path: $0, text: try text($0)) }
    }

    /// The names of all story files of the tests.
    static func storyNames() throws -> Set<String> {
        Set(try paths(in: "Tests", suffix: ".txt").compactMap { $0.split(separator: "/").last.map(String.init) })
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    private static func paths(in folder: String, suffix: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(
            atPath: root.appendingPathComponent(folder).resolvingSymlinksInPath().path
        )
        .filter { $0.hasSuffix(suffix) }.sorted().map { "\(folder)/\($0)" }
    }
}
