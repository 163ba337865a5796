/// Codes of errors as the sources write them: those of the enums whose raw values are an interface, and those that `metactl` makes up.
enum ErrorCodes {
    /// The raw values of `enum Code: String` and `enum Reason: String`.
    static func declared(in file: SourceFile) -> [String] {
        file.withoutComments.matches(of: /enum (?:Code|Reason): String[^{]*\{([^}]*)\}/).flatMap { match in
            match.1.split(separator: "\n").flatMap { line -> [String] in
                guard let cases = line.firstMatch(of: /case (.*)/)?.1 else { return [] }
                return cases.split(separator: ",").map { item in
                    if let text = item.firstMatch(of: /"(\w+)"/) { return String(text.1) }
                    return item.filter { !$0.isWhitespace }
                }
            }
        }
    }

    static func used(in file: SourceFile) -> [String] {
        file.withoutComments.matches(of: /(?:code: |\.local\(\s*|\.refused\(\s*)"([a-z_]+)"/).map { String($0.1) }
    }
}
