import Foundation
import Testing

/// The commands of a page: what stands in its blocks of shell, in their order. A test takes them one after the other, so that
/// none is left out and none is added without a test.
struct OperationsPage {
    let path: String
    private var left: ArraySlice<String>

    init(_ path: String) throws {
        self.path = path
        let text = try String(contentsOf: ScriptedCluster.repository.appendingPathComponent(path), encoding: .utf8)
        var commands: [String] = []
        var isShell = false
        var continues = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let words = String(line.drop { $0 == " " })
            if words.hasPrefix("```") {
                isShell = words == "```sh"
            } else if isShell, !words.isEmpty {
                let part = words.hasSuffix("\\") ? String(words.dropLast()) : words
                if continues { commands[commands.count - 1] += part } else { commands.append(part) }
                continues = words.hasSuffix("\\")
            }
        }
        left = commands[...]
    }

    /// The next command, which begins like this.
    mutating func next(_ beginning: String) throws -> String {
        let first = left.popFirst()
        let command = try #require(first, "\(path) has no command \(beginning)")
        try #require(command.hasPrefix(beginning), "\(path) has another command here: \(command)")
        return command
    }

    /// Takes a command that a test cannot run.
    mutating func skip(_ beginning: String, because reason: String) throws {
        let command = try next(beginning)
        print("\(path): not run, since \(reason): \(command)")
    }

    /// The end of the page.
    func end() { #expect(left == [], "commands of \(path) that nobody runs") }
}

extension ScriptedCluster {
    /// Runs a command of a page as on the machine of this node: its service is the node of the local cluster, and the paths and
    /// addresses of the page are those here. Fails unless it ends with 0.
    @discardableResult
    func run(page command: String, on node: Int = 3, replacing more: [String: String] = [:]) throws -> String {
        let here = [
            ("systemctl stop metad", "cluster/node \(node) stop"),
            ("systemctl start metad", "cluster/node \(node) start"),
            ("systemctl restart metad", "cluster/node \(node) restart"),
            ("/etc/metad.yaml", "cluster/node\(node).yaml"),
            ("/var/lib/metad", "cluster/data/node\(node)"), ("/var/backups", "backups"), ("/usr/local/bin", "bin"),
            ("production", "local"), ("-o root -g metad ", ""), ("-o metad -g metad ", ""),
            ("runuser -u metad -- ", ""),
        ]
        var text = command
        for (from, to) in more.sorted(by: { $0.key < $1.key }) + here { text = text.replacing(from, with: to) }
        text = text.replacing(/10\.0\.0\.([1-4]):7400/) { "127.0.0.1:740\($0.1)" }
        let (status, output) = try run(translated(text))
        #expect(status == 0, "\(command), run as \(text), ended with \(status): \(output)")
        return output
    }
}
