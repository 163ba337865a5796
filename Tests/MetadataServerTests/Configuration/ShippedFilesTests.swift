import Foundation
import MetadataServer
import RaftCore
import Testing

@Suite("Shipped configuration files")
struct ShippedFilesTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    @Test("the files of the local cluster are valid and differ where they must", arguments: 1...3)
    func files(node: Int) async throws {
        let path = Self.root.appendingPathComponent("cluster/node\(node).yaml").path
        let configuration = try await NodeConfiguration.load(
            file: path, environment: [:], currentDirectory: Self.root.path)
        #expect(configuration.node.id.rawValue == UInt64(node))
        #expect(configuration.node.clientAddress.description == "127.0.0.1:740\(node)")
        #expect(configuration.node.peerAddress.description == "127.0.0.1:750\(node)")
        #expect(configuration.health.http.address.description == "127.0.0.1:808\(node)")
        #expect(configuration.metrics.address.description == "127.0.0.1:909\(node)")
        #expect(configuration.node.dataDirectory == Self.root.path + "/cluster/data/node\(node)")
        #expect(configuration.cluster.initialMembers.map(\.id.rawValue) == [1, 2, 3])
        let own = configuration.cluster.initialMembers[node - 1]
        #expect(own.peerAddress == configuration.node.peerAddress)
        #expect(own.clientAddress == configuration.node.clientAddress)
    }

    @Test("the files of the local cluster name every key there is", arguments: 1...3)
    func completeness(node: Int) throws {
        let text = try String(
            contentsOf: Self.root.appendingPathComponent("cluster/node\(node).yaml"), encoding: .utf8)
        #expect(yamlKeys(text) == NodeConfiguration.knownKeys.sorted())
    }

    @Test(
        "the reference page lists every key with its default, what is allowed and whether it can be reloaded, and no other"
    )
    func referencePage() throws {
        let page = try String(
            contentsOf: Self.root.appendingPathComponent("docs/operations/configuration.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `") }
        let listed = rows.map { row -> [String] in
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            return Array(cells.prefix(4))
        }
        let expected = NodeConfiguration.knownKeys.map { key in
            [
                "`\(key)`", NodeConfiguration.defaultText(of: key).map { "`\($0)`" } ?? "required",
                NodeConfiguration.allowed(for: key) ?? "",
                NodeConfiguration.reloadableKeys.contains(key) ? "yes" : "no",
            ]
        }
        #expect(listed == expected)
    }

    @Test("the reader of keys that this suite uses sees nesting, lists and comments")
    func planted() {
        let text = """
            # a comment: no
            a:
              b: 1  # c: no
              d:
                e: "x: y"
            f:
              - "1=2"
            """
        #expect(yamlKeys(text) == ["a.b", "a.d.e", "f"])
    }

    /// The keys of plain block YAML with two spaces a level, which is all that these files use.
    private func yamlKeys(_ text: String) -> [String] {
        var path: [String] = []
        var keys: [String] = []
        let lines = text.split(separator: "\n").map(String.init)
            .filter { !$0.trimmingCharacters(in: .whitespaces).hasPrefix("#") }
        for (number, line) in lines.enumerated() {
            let content = line.trimmingCharacters(in: .whitespaces)
            guard !content.hasPrefix("-"), let colon = content.firstIndex(of: ":") else { continue }
            let depth = line.prefix { $0 == " " }.count / 2
            path = Array(path.prefix(depth)) + [String(content[..<colon])]
            let rest = content[content.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            let isParent = rest.isEmpty || rest.hasPrefix("#")
            let next = number + 1 < lines.count ? lines[number + 1].trimmingCharacters(in: .whitespaces) : ""
            if !isParent || next.hasPrefix("-") { keys.append(path.joined(separator: ".")) }
        }
        return keys.sorted()
    }
}
