/// Who acts out a story: a driver that carries out one command after another and says what came of each.
package protocol StoryTeller {
    init()

    /// Carries out one command and returns the lines that it prints.
    mutating func perform(_ arguments: StoryArguments) throws(StoryError) -> [String]
}

/// A story that cannot be told: a command that does not exist, or words that make no sense.
package struct StoryError: Error, CustomStringConvertible {
    package var message: String
    package var description: String { message }

    package init(_ message: String) { self.message = message }
}

/// The text of a story: blocks of commands, a line `----`, and what they print, with an empty line between blocks. Lines
/// that start with `#` say what it is about.
package enum Story {
    /// Lets `Teller` act out `text`, and returns it with the outputs that it really has.
    package static func tell<Teller: StoryTeller>(
        _ text: String, by teller: Teller.Type
    ) throws(StoryError) -> String {
        var teller = Teller()
        var blocks: [String] = []
        for block in text.split(separator: "\n\n", omittingEmptySubsequences: true) {
            let lines = block.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
            let commands = Array(lines.prefix { $0 != "----" })
            guard commands.contains(where: { !$0.hasPrefix("#") }) else {
                blocks.append(commands.joined(separator: "\n"))
                continue
            }
            var output: [String] = []
            for command in commands where !command.hasPrefix("#") {
                do throws(StoryError) {
                    output += try teller.perform(StoryArguments(command))
                } catch {
                    throw StoryError("\(command): \(error.message)")
                }
            }
            blocks.append((commands + ["----"] + output).joined(separator: "\n"))
        }
        return blocks.joined(separator: "\n\n") + "\n"
    }
}
