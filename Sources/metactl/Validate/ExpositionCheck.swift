/// Whether a page is what Prometheus reads: the text exposition format 0.0.4.
enum ExpositionCheck {
    /// What a node always shows.
    static let expected = [
        "raft_term", "raft_commit_index", "metadata_version", "cluster_partitions_total",
        "process_resident_memory_bytes",
    ]

    /// The number of series.
    static func series(in page: String) throws -> Int {
        var kinds: [Substring: Substring] = [:]
        var explained: Set<Substring> = []
        var seen: Set<Substring> = []
        guard page.hasSuffix("\n") else { throw ValidationFailure("the page does not end with a line") }
        for line in page.split(separator: "\n") {
            if line.hasPrefix("#") {
                let words = line.split(separator: " ", maxSplits: 3)
                guard words.count >= 3 else { throw ValidationFailure("not a comment of the format: \(line)") }
                if words[1] == "HELP" { explained.insert(words[2]) }
                if words[1] == "TYPE", words.count == 4 { kinds[words[2]] = words[3] }
                continue
            }
            guard let match = line.wholeMatch(of: /([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)/) else {
                throw ValidationFailure("not a sample: \(line)")
            }
            let value = match.3
            guard Double(value) != nil || ["NaN", "+Inf", "-Inf"].contains(value) else {
                throw ValidationFailure("not a number: \(line)")
            }
            let name = match.1
            let family =
                ["_bucket", "_sum", "_count"].lazy.compactMap { ending -> Substring? in
                    guard name.hasSuffix(ending) else { return nil }
                    let base = name.dropLast(ending.count)
                    return kinds[base] == "histogram" ? base : nil
                }.first ?? name
            guard kinds[family] != nil, explained.contains(family) else {
                throw ValidationFailure("\(family) has no TYPE or no HELP before it")
            }
            guard seen.insert(line.dropLast(value.count + 1)).inserted else {
                throw ValidationFailure("twice on one page: \(line)")
            }
        }
        for name in expected where kinds[Substring(name)] == nil {
            throw ValidationFailure("\(name) is missing")
        }
        return seen.count
    }
}
