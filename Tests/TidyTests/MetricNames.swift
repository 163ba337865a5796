/// The names of metrics, as the sources make them and as the page about monitoring lists them.
enum MetricNames {
    static func made(in file: SourceFile) -> [String] {
        let call = /(?:registry\.(?:counter|floatingCounter|gauges?|histogram)\(|\.families\[)\s*"([a-z_]+)"/
        return file.withoutComments.matches(of: call).map { String($0.1) }
    }

    /// Those in the first column of a table, without their labels.
    static func listed(on page: String) -> [String] {
        page.split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap { line -> [String] in
            let column = line.dropFirst().prefix { $0 != "|" }
            return column.matches(of: /`([a-z_]+)(?:\{[a-z_,]+\})?`/).map { String($0.1) }
        }
    }
}
