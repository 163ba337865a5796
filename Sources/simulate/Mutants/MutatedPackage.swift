import Foundation

/// A copy of the package with all mutants in it, beside the build folders. Only what differs is written, so that building it
/// again is quick.
struct MutatedPackage {
    let root: URL
    let mutants: [Mutant]

    var folder: URL { root.appending(path: ".build-mutants") }
    var runs: URL { folder.appending(path: "runs") }
    var program: URL { folder.appending(path: ".build/release/simulate") }

    /// Reads the sources of a mutated file; nil when there is none.
    static func original(_ file: String, root: URL) throws(MutantError) -> String {
        do {
            return try String(contentsOf: root.appending(path: "Sources/" + file), encoding: .utf8)
        } catch {
            throw MutantError(description: "Sources/\(file) cannot be read: \(error.localizedDescription)")
        }
    }

    /// The texts of the mutated files, with the files that make the choice. Throws when a mutant has lost its place.
    func mutatedFiles() throws(MutantError) -> [String: String] {
        var texts: [String: String] = [:]
        for file in Set(mutants.flatMap(\.edits).map(\.file)).sorted() {
            texts[file] = try MutatedFile.text(try Self.original(file, root: root), file: file, mutants: mutants)
            if let target = file.split(separator: "/").first { texts["\(target)/IsMutant.swift"] = MutatedFile.choice }
        }
        return texts
    }

    /// Writes the copy and builds the program in it.
    func build() throws {
        try write()
        try seedDependencies()
        let build = Process()
        build.executableURL = URL(filePath: "/usr/bin/env")
        build.arguments = ["swift", "build", "-c", "release", "--product", "simulate", "--package-path", folder.path()]
        build.currentDirectoryURL = folder
        try build.run()
        build.waitUntilExit()
        guard build.terminationStatus == 0 else {
            throw MutantError(description: "the mutated copy in \(folder.path()) does not build")
        }
    }

    private func write() throws {
        let files = FileManager.default
        var wanted = try mutatedFiles().reduce(into: [:]) { $0["Sources/" + $1.key] = Data($1.value.utf8) }
        let manifest = try String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
        // An alternative that is never taken may leave a warning behind.
        wanted["Package.swift"] = Data(manifest.replacing(".treatAllWarnings(as: .error),", with: "").utf8)
        wanted["Package.resolved"] = files.contents(atPath: root.appending(path: "Package.resolved").path())
        for name in try files.subpathsOfDirectory(atPath: root.appending(path: "Sources").path()) {
            // Nil for folders.
            guard wanted["Sources/" + name] == nil else { continue }
            wanted["Sources/" + name] = files.contents(atPath: root.appending(path: "Sources/" + name).path())
        }
        for (path, bytes) in wanted {
            let file = folder.appending(path: path)
            if files.contents(atPath: file.path()) == bytes { continue }
            try files.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try bytes.write(to: file)
        }
        // Sources that are gone from the package must not be built any more.
        let copied = folder.appending(path: "Sources")
        for name in try files.subpathsOfDirectory(atPath: copied.path())
        where name.hasSuffix(".swift") && wanted["Sources/" + name] == nil {
            try files.removeItem(at: copied.appending(path: name))
        }
        // The manifest names them; they are not built.
        for name in ["Tests", "ChaosTests"] where !files.fileExists(atPath: folder.appending(path: name).path()) {
            try files.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: root.appending(path: name))
        }
    }

    /// What another build of this package has fetched need not be fetched again.
    private func seedDependencies() throws {
        let files = FileManager.default
        let build = folder.appending(path: ".build")
        guard !files.fileExists(atPath: build.path()) else { return }
        let fetched = [".build", ".build-test"].map { root.appending(path: $0) }
            .first { files.fileExists(atPath: $0.appending(path: "checkouts").path()) }
        guard let fetched else { return }
        try files.createDirectory(at: build, withIntermediateDirectories: true)
        for name in ["checkouts", "repositories", "artifacts", "workspace-state.json"] {
            let source = fetched.appending(path: name)
            guard files.fileExists(atPath: source.path()) else { continue }
            if name.hasSuffix(".json") {
                try files.copyItem(at: source, to: build.appending(path: name))
            } else {
                try files.createSymbolicLink(at: build.appending(path: name), withDestinationURL: source)
            }
        }
    }
}
