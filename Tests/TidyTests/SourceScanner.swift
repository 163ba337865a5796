/// A Swift file as the rules see it: the lines as they stand, and the same lines with comments and the insides of string
/// literals blanked out, so that a rule does not stumble over words that are only talked about.
struct SourceFile {
    let path: String
    let lines: [String]
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        code = SourceScanner.blanked(text).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The text without the lines that are comments.
    var withoutComments: String { lines.filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n") }

    /// The target that the file belongs to.
    var target: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }

    /// Whether somebody explained this line: a comment on it, or directly above it, attributes and the rest of a
    /// declaration's head aside.
    func isExplained(_ line: Int) -> Bool {
        if lines[line].contains("//") { return true }
        var above = line - 1
        while above >= 0 {
            let text = lines[above].drop { $0 == " " }
            if text.hasPrefix("//") || text.hasSuffix("*/") { return true }
            guard text.hasPrefix("@") else { return false }
            above -= 1
        }
        return false
    }
}

/// Finds comments and string literals. Interpolated code counts as part of its string: good enough for tidiness.
enum SourceScanner {
    private enum State {
        case code
        case lineComment
        case blockComment(depth: Int)
        /// `pounds` is the number of `#` around a raw literal.
        case string(pounds: Int, isMultiline: Bool)
    }

    /// Works on bytes: everything that delimits is ASCII, and a byte of another letter is blanked like any other.
    static func blanked(_ text: String) -> String {
        let input = Array(text.utf8)
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        var state = State.code
        var position = 0

        func starts(_ word: StaticString, at start: Int) -> Bool {
            guard start + word.utf8CodeUnitCount <= input.count else { return false }
            return (0..<word.utf8CodeUnitCount).allSatisfy { input[start + $0] == word.utf8Start[$0] }
        }
        func pounds(at start: Int) -> Int { input[start...].prefix { $0 == UInt8(ascii: "#") }.count }
        func blank(_ count: Int) {
            for byte in input[position..<min(position + count, input.count)] {
                output.append(byte == newline ? newline : UInt8(ascii: " "))
            }
            position += count
        }

        while position < input.count {
            switch state {
            case .code:
                let fence = pounds(at: position)
                if starts("//", at: position) {
                    state = .lineComment
                    blank(2)
                } else if starts("/*", at: position) {
                    state = .blockComment(depth: 1)
                    blank(2)
                } else if starts("\"\"\"", at: position + fence) {
                    state = .string(pounds: fence, isMultiline: true)
                    blank(fence + 3)
                } else if starts("\"", at: position + fence) {
                    state = .string(pounds: fence, isMultiline: false)
                    blank(fence + 1)
                } else {
                    output.append(input[position])
                    position += 1
                }
            case .lineComment:
                if input[position] == newline { state = .code }
                blank(1)
            case .blockComment(let depth):
                if starts("*/", at: position) {
                    state = depth == 1 ? .code : .blockComment(depth: depth - 1)
                    blank(2)
                } else if starts("/*", at: position) {
                    state = .blockComment(depth: depth + 1)
                    blank(2)
                } else {
                    blank(1)
                }
            case .string(let fence, let isMultiline):
                let quotes = isMultiline ? 3 : 1
                let isQuote = isMultiline ? starts("\"\"\"", at: position) : starts("\"", at: position)
                if isQuote, pounds(at: position + quotes) >= fence {
                    state = .code
                    blank(quotes + fence)
                } else if starts("\\", at: position), pounds(at: position + 1) >= fence {
                    blank(2 + fence)
                } else if !isMultiline, input[position] == newline {
                    // Not a literal after all, such as a quote in a regular expression.
                    state = .code
                    blank(1)
                } else {
                    blank(1)
                }
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static let newline = UInt8(ascii: "\n")
}
