/// The names of metrics, as the sources make them and as the page about monitoring lists them.
enum MetricNames {
    static func made(in file: SourceFile) -> [String] {
        let call = /(?:registry\.(?:counter|floatingCounter|gauges?|histogram)\(|\.families\[)\s*"([a-z_]+)"/
        // Through swift-metrics, whose labels become such names.
        let label = /(Counter|Timer)\(label: "([a-z.]+)"/
        return file.withoutComments.matches(of: call).map { String($0.1) }
            + file.withoutComments.matches(of: label).map {
                $0.2.split(separator: ".").joined(separator: "_") + ($0.1 == "Timer" ? "_seconds" : "_total")
            }
    }

    /// Those in the first column of a table behind the heading, without their labels.
    static func listed(on page: String) -> [String] {
        (page.split(separator: "\n## Metrics\n").last ?? "").split(separator: "\n").filter { $0.hasPrefix("| `") }
            .flatMap { line -> [String] in
                let column = line.dropFirst().prefix { $0 != "|" }
                return column.matches(of: /`([a-z_]+)(?:\{[a-z_,]+\})?`/).map { String($0.1) }
            }
    }
}
