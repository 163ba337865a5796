import ArgumentParser

/// One seed, or all from one to another.
struct SeedRange: ExpressibleByArgument, Hashable {
    var first: UInt64
    var last: UInt64

    init(first: UInt64, last: UInt64) {
        self.first = first
        self.last = last
    }

    init?(argument: String) {
        let parts = argument.split(separator: "..", omittingEmptySubsequences: false)
        guard let first = parts.first.flatMap({ UInt64($0) }), parts.count <= 2 else { return nil }
        guard parts.count == 2 else {
            self.init(first: first, last: first)
            return
        }
        guard let last = UInt64(parts[1]), last >= first else { return nil }
        self.init(first: first, last: last)
    }

    var description: String { first == last ? "\(first)" : "\(first)..\(last)" }
}
