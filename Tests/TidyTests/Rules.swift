/// Something that a rule found.
struct Violation: Equatable, CustomStringConvertible {
    var path: String
    /// From 1.
    var line: Int
    var text: String

    var description: String { "\(path):\(line): \(text)" }
}

/// A rule of the house that can be read off the text of one file.
struct Rule: Sendable, CustomStringConvertible {
    let name: String
    let appliesTo: @Sendable (String) -> Bool
    /// The lines, from 0, that break it.
    let findings: @Sendable (SourceFile) -> [Int]

    var description: String { name }

    func violations(in file: SourceFile) -> [Violation] {
        guard appliesTo(file.path) else { return [] }
        return findings(file).map {
            Violation(
                path: file.path, line: $0 + 1,
                text: file.lines.indices.contains($0) ? file.lines[$0].trimmed : "\(file.lines.count) lines")
        }
    }
}

extension Rule {
    static let all: [Rule] = [
        pureImports, noClocks, noUnseededRandomness, storageImports, noTasks, noForce, noCrash, noSilentTry,
        explainedSendable, noLeftovers, fileLength,
    ]

    static let pureTargets: Set<String> = ["RaftCore", "MetadataModel", "Coordination", "Replica", "Resilience"]
    static let storageTargets: Set<String> = ["RaftLog", "MetadataStore"]
    static let linesMax = 800

    /// What a value that only computes may lean on.
    private static let pureModules: Set<String> = [
        "BasicContainers", "BitCollections", "Collections", "DequeModule", "HashTreeCollections", "HeapModule",
        "OrderedCollections", "RaftCore", "MetadataModel", "MetadataSchema", "Coordination", "Resilience",
        "Synchronization",
    ]

    static let pureImports = Rule(
        name: "pure targets import only each other, collections and atomics", appliesTo: isIn(pureTargets)
    ) { file in
        lines(of: file) { line in importedModule(line).map { !pureModules.contains($0) } ?? false }
    }

    static let noClocks = Rule(name: "pure targets read no clock", appliesTo: isIn(pureTargets)) { file in
        let clocks = ["ContinuousClock", "SuspendingClock", "DispatchTime", "clock_gettime", "gettimeofday"]
        return lines(of: file) { line in
            clocks.contains { line.hasWord($0) } || line.contains(/\b(Date|CFAbsoluteTimeGetCurrent)\(/)
        }
    }

    static let noUnseededRandomness = Rule(
        name: "pure targets draw random numbers from a given generator only", appliesTo: isIn(pureTargets)
    ) { file in
        let forbidden = ["SystemRandomNumberGenerator", "arc4random", "arc4random_uniform"]
        var found = lines(of: file) { line in
            forbidden.contains { line.hasWord($0) } || line.contains(/\bUUID\(\)/)
        }
        let whole = file.code.joined(separator: "\n")
        for match in whole.matches(of: /\.(random|shuffle|shuffled|randomElement)\(/)
        where !arguments(in: whole, from: match.range.upperBound).contains("using:") {
            found.append(whole[..<match.range.lowerBound].count { $0 == "\n" })
        }
        return found.sorted()
    }

    static let storageImports = Rule(name: "storage targets import no NIO", appliesTo: isIn(storageTargets)) { file in
        lines(of: file) { importedModule($0)?.hasPrefix("NIO") ?? false }
    }

    static let noTasks = Rule(name: "storage targets start and await nothing", appliesTo: isIn(storageTargets)) {
        file in
        lines(of: file) { $0.hasWord("Task") || $0.hasWord("await") || $0.hasWord("TaskGroup") }
    }

    static let noForce = Rule(name: "sources force nothing: no try!, as! or unwrapping", appliesTo: isSource) { file in
        lines(of: file) { line in
            guard line.utf8.contains(UInt8(ascii: "!")) else { return false }
            return line.contains(/\b(try|as)!/) || line.contains(/[A-Za-z0-9_)\]]!(?!=)/)
        }
    }

    static let noCrash = Rule(
        name: "sources crash by precondition with a reason, not by fatalError or assert", appliesTo: isSource
    ) { file in
        let calls = ["fatalError", "assert", "assertionFailure"]
        return lines(of: file) { line in
            calls.contains { line.hasWord($0) } && line.contains(/\b(fatalError|assert|assertionFailure)\(/)
        }
    }

    static let noSilentTry = Rule(name: "a try? says why the error does not matter", appliesTo: isSource) { file in
        lines(of: file) { $0.utf8.contains(UInt8(ascii: "?")) && $0.contains(/\btry\?/) }.filter {
            !file.isExplained($0)
        }
    }

    static let explainedSendable = Rule(
        name: "an unchecked Sendable or unsafe isolation has its proof above it", appliesTo: isSource
    ) { file in
        lines(of: file) { $0.contains("@unchecked Sendable") || $0.contains("nonisolated(unsafe)") }
            .filter { !file.isExplained($0) }
    }

    static let noLeftovers = Rule(name: "nothing is left to be done", appliesTo: { _ in true }) { file in
        // Put together here, so that this line is none.
        let words = ["TO" + "DO", "FIX" + "ME"]
        return file.lines.indices.filter { line in words.contains { file.lines[line].hasWord($0) } }
    }

    static let fileLength = Rule(name: "no file is longer than \(linesMax) lines", appliesTo: { _ in true }) { file in
        file.lines.count > linesMax + 1 ? [file.lines.count] : []
    }

    // Helpers.

    private static func isIn(_ targets: Set<String>) -> @Sendable (String) -> Bool {
        { path in targets.contains { path.hasPrefix("Sources/\($0)/") } }
    }

    private static let isSource: @Sendable (String) -> Bool = { $0.hasPrefix("Sources/") }

    private static func lines(of file: SourceFile, where breaks: (String) -> Bool) -> [Int] {
        file.code.indices.filter { breaks(file.code[$0]) }
    }

    /// The module of an import, whatever stands before and behind it.
    static func importedModule(_ line: String) -> String? {
        let pattern =
            /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?([A-Za-z0-9_]+)/
        return line.firstMatch(of: pattern).map { String($0.1) }
    }

    /// The text up to the parenthesis that closes the one just before `start`.
    private static func arguments(in text: String, from start: String.Index) -> Substring {
        var depth = 1
        var end = start
        while end < text.endIndex {
            if text[end] == "(" { depth += 1 }
            if text[end] == ")" { depth -= 1 }
            if depth == 0 { break }
            end = text.index(after: end)
        }
        return text[start..<end]
    }
}

extension String {
    var trimmed: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }

    /// Whether the word stands there by itself. Compares bytes in place: this runs for every line and word there is.
    func hasWord(_ word: String) -> Bool {
        var (line, word) = (self, word)
        return line.withUTF8 { text in
            word.withUTF8 { wanted in
                guard let first = wanted.first, text.count >= wanted.count else { return false }
                for start in 0...(text.count - wanted.count) where text[start] == first {
                    let end = start + wanted.count
                    if text[start..<end].elementsEqual(wanted), start == 0 || !text[start - 1].isWordPart,
                        end == text.count || !text[end].isWordPart
                    {
                        return true
                    }
                }
                return false
            }
        }
    }
}

extension UInt8 {
    fileprivate var isWordPart: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
