import Foundation
import Testing

@testable import simulate

@Suite("Mutants")
struct MutantTests {
    @Test("every mutant still finds its place in the sources, once")
    func places() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let texts = try MutatedPackage(root: root, mutants: Mutant.all).mutatedFiles()
        for (number, mutant) in Mutant.all.enumerated() {
            for edit in mutant.edits {
                #expect(texts[edit.file]?.contains("isMutant(\(number))") == true, "\(mutant.name)")
            }
        }
    }

    @Test("there are at least 25 of them, each with a name of its own and the mistake that it stands for")
    func names() {
        #expect(Mutant.all.count >= 25)
        #expect(Set(Mutant.all.map(\.name)).count == Mutant.all.count)
        #expect(Mutant.all.allSatisfy { !$0.mistake.isEmpty && !$0.edits.isEmpty })
    }

    @Test("the lines that they name are in the list of mistakes")
    func lines() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let list = try String(contentsOf: root.appending(path: "docs/testing/mistakes.md"), encoding: .utf8)
        for mutant in Mutant.all {
            guard let line = mutant.line else { continue }
            #expect(list.contains("\n| \(line) |"), "\(mutant.name)")
        }
    }

    @Test("an expression and statements become a choice, and what is around them stays")
    func choices() throws {
        let mutants = [
            Mutant("a", "", .expression("f", "if ⟦x < y⟧ {", "true")),
            Mutant("b", "", .statements("f", "send(1)", "send(2)"), .expression("f", "if ⟦x < y⟧ {", "false")),
            Mutant("c", "", .expression("g", "nowhere", "")),
        ]
        let text = try MutatedFile.text("if x < y {\n    send(1)\n}\nx < y", file: "f", mutants: mutants)
        #expect(
            text == """
                if (isMutant(1) ? (false) : ((isMutant(0) ? (true) : (x < y)))) {
                    if isMutant(1) { send(2) } else { send(1) }
                }
                x < y
                """)
    }

    @Test(
        "a place that is gone, not alone, overlapping or badly marked is refused by name",
        arguments: ["y", "x", "xxx⟦", "⟦x⟧⟦x⟧"])
    func refusals(anchor: String) {
        let mutant = Mutant("planted", "", .expression("f", anchor, "1"))
        #expect {
            try MutatedFile.text("xx", file: "f", mutants: [mutant])
        } throws: {
            "\($0)".contains("planted")
        }
        let overlapping = [
            Mutant("first", "", .expression("f", "abc", "1")), Mutant("second", "", .expression("f", "bcd", "1")),
        ]
        #expect {
            try MutatedFile.text("abcd", file: "f", mutants: overlapping)
        } throws: {
            "\($0)".contains("second overlaps with first")
        }
    }

    @Test("what the copy tells of a seed is read back")
    func probeLines() {
        for line in [
            ProbeLine.begins(seed: 7), .clean(milliseconds: 10), .finding(rule: "a rule", milliseconds: 3), .end,
        ] {
            #expect(ProbeLine("\(line)").map { "\($0)" } == "\(line)")
        }
        #expect(ProbeLine("Fatal error") == nil)
    }
}
