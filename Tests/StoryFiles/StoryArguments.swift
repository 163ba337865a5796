/// The words of a command.
package struct StoryArguments {
    package let words: [String]

    package init(_ command: String) { words = command.split(separator: " ").map(String.init) }

    package var name: String { words.first ?? "" }

    /// The words behind the first `count`.
    package func rest(after count: Int) -> [String] { Array(words.dropFirst(count)) }

    package func word(_ offset: Int) throws(StoryError) -> String {
        guard offset < words.count else { throw StoryError("argument \(offset) is missing") }
        return words[offset]
    }

    package func number(_ offset: Int) throws(StoryError) -> UInt64 {
        let word = try word(offset)
        guard let number = UInt64(word) else { throw StoryError("\(word) is no number") }
        return number
    }

    /// How often; once when nothing is said.
    package func count(_ offset: Int) throws(StoryError) -> Int {
        offset < words.count ? Int(try number(offset)) : 1
    }

    /// The members that are meant, by number: all of them, or one.
    package func members(_ offset: Int, all: [UInt64]) throws(StoryError) -> [UInt64] {
        offset >= words.count || words[offset] == "all" ? all : [try number(offset)]
    }

    /// `1->2`
    package func ends(_ offset: Int) throws(StoryError) -> (from: UInt64, to: UInt64) {
        let ends = try word(offset).split(separator: "->").compactMap { UInt64($0) }
        guard ends.count == 2 else { throw StoryError("argument \(offset) has to be a link, like 1->2") }
        return (ends[0], ends[1])
    }

    /// `name=text`
    package func text(_ name: String) -> String? {
        words.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
    }

    /// `name=1,2,3`
    package func list(_ name: String) -> [UInt64]? {
        text(name)?.split(separator: ",").compactMap { UInt64($0) }
    }

    /// `name=1`
    package func option(_ name: String) -> Int? { list(name)?.first.map { Int($0) } }
}
