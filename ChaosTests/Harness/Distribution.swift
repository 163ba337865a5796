/// Durations of many rounds, as a person wants to see them.
struct Distribution: CustomStringConvertible {
    private var values: [Duration] = []

    init(_ values: [Duration] = []) { self.values = values.sorted() }

    /// The smallest value that so many percent of the values do not exceed (nearest rank); zero of nothing.
    func percentile(_ percent: Double) -> Duration {
        guard !values.isEmpty else { return .zero }
        let rank = Int((percent / 100 * Double(values.count)).rounded(.up))
        return values[min(values.count, Swift.max(1, rank)) - 1]
    }

    var max: Duration { values.last ?? .zero }

    var description: String {
        guard let least = values.first, let most = values.last else { return "nothing measured" }
        let percentiles = [50.0, 90, 99].map { "p\(Int($0)) \(Self.text(percentile($0)))" }
        let line =
            "\(values.count) rounds: min \(Self.text(least))  \(percentiles.joined(separator: "  "))  max \(Self.text(most))"
        return ([line] + bars).joined(separator: "\n")
    }

    /// A line for each of a dozen equal steps.
    private var bars: [String] {
        let steps = 12
        guard values.count >= steps, let least = values.first, let most = values.last, most > least else { return [] }
        let width = (most - least) / steps
        var counts = [Int](repeating: 0, count: steps)
        for value in values { counts[min(steps - 1, Int((value - least) / width))] += 1 }
        return counts.enumerated().map { step, count in
            let from = Self.text(least + width * step)
            return String(repeating: " ", count: Swift.max(0, 10 - from.count)) + from + " "
                + String(repeating: "#", count: count) + (count > 0 ? " \(count)" : "")
        }
    }

    private static func text(_ duration: Duration) -> String {
        "\(Int((duration / .milliseconds(1)).rounded())) ms"
    }
}
