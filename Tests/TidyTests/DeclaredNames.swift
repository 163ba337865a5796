/// What is declared in the sources, to hold pages against that name functions and tests.
struct DeclaredNames {
    /// By file: the names that are declared or extended in it.
    private var files: [Set<String>] = []
    private var all: Set<String> = []
    private let stories: Set<String>

    private static let keywords: Set<Substring> = [
        "func", "var", "let", "case", "struct", "enum", "class", "actor", "protocol", "typealias", "extension",
    ]

    init(_ sources: [SourceFile], stories: Set<String>) {
        self.stories = stories
        for source in sources {
            var names: Set<String> = []
            for line in source.code { Self.declared(in: line, into: &names) }
            // A target is named as its folder is.
            for part in source.path.split(separator: "/").dropLast() { names.insert(String(part)) }
            files.append(names)
            all.formUnion(names)
        }
    }

    /// A function, a member as `Type.member`, or a story, in which `*` stands for anything.
    func holds(_ name: String) -> Bool {
        if name.hasSuffix(".txt") {
            guard let star = name.firstIndex(of: "*") else { return stories.contains(name) }
            return stories.contains { $0.hasPrefix(name[..<star]) }
        }
        let parts = name.prefix { $0 != "(" }.split(separator: ".").map(String.init)
        guard let first = parts.first, let last = parts.last else { return false }
        return parts.count == 1 ? all.contains(last) : files.contains { $0.contains(first) && $0.contains(last) }
    }

    struct Mention: Equatable {
        /// From 1.
        var line: Int
        var name: String
    }

    /// The code spans of a page that name something: not commands or expressions, and not what stands in blocks of code.
    static func mentioned(in page: String) -> [Mention] {
        var found: [Mention] = []
        var isFenced = false
        for (number, line) in page.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") { isFenced.toggle() }
            guard !isFenced else { continue }
            for span in line.matches(of: /`([^`]+)`/) {
                let text = String(span.1)
                if text.contains(/^(?:[A-Za-z_][A-Za-z0-9_]*)(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?:\([^)]*\))?$/)
                    || text.contains(/^[a-z0-9*-]+\.txt$/)
                {
                    found.append(Mention(line: number + 1, name: text))
                }
            }
        }
        return found
    }

    private static func declared(in line: String, into names: inout Set<String>) {
        let words = line.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == ".") }
        for (place, word) in words.enumerated() where keywords.contains(word) {
            if word == "case" {
                // All names of a line such as `case one, two(Int)`.
                let rest = line.prefix { $0 != "=" && $0 != ":" }.split(separator: ",")
                for part in rest {
                    let name = part.split(separator: " ").last { !$0.hasPrefix("(") } ?? ""
                    names.insert(String(name.prefix { $0.isLetter || $0.isNumber || $0 == "_" }))
                }
            }
            guard place + 1 < words.count else { continue }
            for part in words[place + 1].split(separator: ".") { names.insert(String(part)) }
        }
    }
}
