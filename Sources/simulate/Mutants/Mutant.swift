import Simulation

/// A bug planted in a copy of the sources, to see that the checkers find it. The shipped code knows nothing of it.
struct Mutant: Sendable {
    /// A place in the sources, and what stands there instead while the mutant is active.
    struct Edit: Sendable {
        enum Kind: Sendable {
            case expression
            /// One or more whole statements that declare nothing.
            case statements
        }

        /// Under `Sources/`.
        var file: String
        /// Has to be found in the file once. What is replaced stands between ⟦ and ⟧; without them it is all of it.
        var anchor: String
        var instead: String
        var kind: Kind

        static func expression(_ file: String, _ anchor: String, _ instead: String) -> Edit {
            Edit(file: file, anchor: anchor, instead: instead, kind: .expression)
        }

        static func statements(_ file: String, _ anchor: String, _ instead: String) -> Edit {
            Edit(file: file, anchor: anchor, instead: instead, kind: .statements)
        }
    }

    let name: String
    /// Of `docs/testing/mistakes.md`; nil for a mistake that is not in that list.
    let line: Int?
    /// The mistake that it stands for, with the public source of it.
    let mistake: String
    /// Kinds of faults without which it never shows: they take part in each of its runs, and so do others as they are drawn.
    let faults: FaultKinds
    let edits: [Edit]

    init(_ name: String, line: Int? = nil, _ mistake: String, under faults: [FaultKind] = [], _ edits: Edit...) {
        self.faults = FaultKinds(faults)
        self.name = name
        self.line = line
        self.mistake = mistake
        self.edits = edits
    }

    /// The mistake with its line.
    var title: String { line.map { "\($0): \(mistake)" } ?? mistake }

    /// In the order of the table.
    static let all = elections + replication + reads + snapshots + replica + stateMachine + disk + coordination
}

/// Why the mutants do not fit the sources.
struct MutantError: Error, CustomStringConvertible {
    var description: String
}

/// Puts mutants into the text of a file, each behind a choice that is made when the program starts: all of them are compiled
/// once, and none or one is active ("mutant schemata", Untch et al. 1993).
struct MutatedFile {
    private struct Place {
        var range: Range<String.Index>
        var choices: [(mutant: Int, edit: Mutant.Edit)]
    }

    /// The number by which the copy knows a mutant is its place in `mutants`.
    static func text(_ original: String, file: String, mutants: [Mutant]) throws(MutantError) -> String {
        var places: [Place] = []
        for (number, mutant) in mutants.enumerated() {
            for edit in mutant.edits where edit.file == file {
                let range = try place(of: edit, in: original, mutant.name)
                if let known = places.firstIndex(where: { $0.range == range }) {
                    places[known].choices.append((number, edit))
                } else if let other = places.first(where: { $0.range.overlaps(range) }) {
                    throw MutantError(
                        description:
                            "mutant \(mutant.name) overlaps with \(mutants[other.choices[0].mutant].name) in \(file)")
                } else {
                    places.append(Place(range: range, choices: [(number, edit)]))
                }
            }
        }
        var text = original
        for place in places.sorted(by: { $0.range.lowerBound > $1.range.lowerBound }) {
            var replacement = String(original[place.range])
            for (mutant, edit) in place.choices {
                switch edit.kind {
                case .expression: replacement = "(isMutant(\(mutant)) ? (\(edit.instead)) : (\(replacement)))"
                case .statements: replacement = "if isMutant(\(mutant)) { \(edit.instead) } else { \(replacement) }"
                }
            }
            text.replaceSubrange(place.range, with: replacement)
        }
        return text
    }

    /// Added to each mutated target.
    static let choice = """
        // Without an import, which could be at odds with how other files of the target import the same module.
        @_silgen_name("getenv")
        private func environment(_ name: UnsafePointer<CChar>) -> UnsafeMutablePointer<CChar>?

        private let activeMutant = environment("\(variable)").flatMap { Int(String(cString: $0)) } ?? -1

        @inline(__always)
        func isMutant(_ number: Int) -> Bool { activeMutant == number }

        """
    /// The environment's variable with the number of the active mutant.
    static let variable = "SIMULATE_MUTANT"

    private static func place(
        of edit: Mutant.Edit, in text: String, _ name: String
    ) throws(MutantError) -> Range<String.Index> {
        let parts = edit.anchor.split(omittingEmptySubsequences: false) { $0 == "⟦" || $0 == "⟧" }
        guard parts.count == 1 || parts.count == 3 else {
            throw MutantError(
                description: "mutant \(name) marks its place in \(edit.file) with other than one ⟦ and one ⟧")
        }
        let anchor = parts.joined()
        let found = text.ranges(of: anchor)
        guard found.count == 1 else {
            throw MutantError(
                description:
                    "mutant \(name) finds its place in \(edit.file) \(found.count) times instead of once: \(anchor)")
        }
        guard parts.count == 3 else { return found[0] }
        let start = text.index(found[0].lowerBound, offsetBy: parts[0].count)
        return start..<text.index(start, offsetBy: parts[1].count)
    }
}
