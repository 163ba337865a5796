/// The links of a Markdown page that lead to files of this repository.
struct MarkdownPage {
    let path: String
    private var prose: [String] = []
    /// The names under which headings can be linked to.
    private(set) var anchors: Set<String> = []

    /// Code blocks and spans are not prose: what looks like a link there is an example.
    init(path: String, text: String) {
        self.path = path
        var isFenced = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            let isFence = line.drop { $0 == " " }.hasPrefix("```")
            if isFence { isFenced.toggle() }
            let isProse = !isFence && !isFenced
            prose.append(isProse ? line.replacing(/`[^`]*`/, with: "") : "")
            if isProse, line.hasPrefix("#") { anchors.insert(Self.anchor(of: line)) }
        }
    }

    struct Link: Equatable {
        /// From 1.
        var line: Int
        var target: String
    }

    /// Relative links, in the order of the page; those with a scheme lead elsewhere.
    var relativeLinks: [Link] {
        prose.enumerated().flatMap { number, line in
            line.matches(of: /\]\(([^)\s]+)(?:\s+"[^"]*")?\)/).map { Link(line: number + 1, target: String($0.1)) }
        }.filter { !$0.target.contains("://") && !$0.target.hasPrefix("mailto:") }
    }

    /// As the pages' host makes it: lower case, words joined by hyphens, punctuation dropped.
    private static func anchor(of heading: String) -> String {
        let title = heading.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
        return String(title.filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" })
            .replacing(" ", with: "-")
    }

    /// The path in the repository that a link of this page leads to, and the heading on it.
    func resolve(_ link: Link) -> (path: String, anchor: String?) {
        let parts = link.target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let anchor = parts.count > 1 ? parts[1] : nil
        guard !parts[0].isEmpty else { return (path, anchor) }
        var components = path.split(separator: "/").dropLast().map(String.init)
        for component in parts[0].split(separator: "/").map(String.init) {
            switch component {
            case ".": break
            case "..": if components.popLast() == nil { return ("../" + parts[0], anchor) }
            default: components.append(component)
            }
        }
        return (components.joined(separator: "/"), anchor)
    }
}
