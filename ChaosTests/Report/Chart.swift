/// A drawing over the time of a run: as many charts under each other as wanted, with one axis of time. SVG, made by hand.
struct Chart {
    static let width = 1_100.0
    private static let left = 90.0
    private static let right = 20.0
    private static let namedBarsMax = 60

    /// Nanoseconds.
    private let length: Double
    private var y = 20.0
    private var parts: [String] = []

    init(length: UInt64) { self.length = max(1, Double(length)) }

    /// Colours that can be told apart, by number.
    static func colour(_ number: Int) -> String {
        ["#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#e377c2", "#7f7f7f"][number % 7]
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    func x(_ time: UInt64) -> Double {
        Self.left + min(1, Double(time) / length) * (Self.width - Self.left - Self.right)
    }

    // MARK: Parts

    /// Bars with names, as many rows as it takes for none to hide another.
    mutating func bars(_ title: String, _ bars: [(from: UInt64, to: UInt64, text: String, detail: String)]) {
        heading(title)
        var ends: [Double] = []
        let top = y
        for bar in bars.sorted(by: { $0.from < $1.from }) {
            let (begin, end) = (x(bar.from), max(x(bar.to), x(bar.from) + 3))
            let row = ends.firstIndex { $0 < begin } ?? ends.count
            // A short bar's name stands beside it, so that it takes more room than the bar. Of very many none is named.
            let text = Self.escaped(bars.count > Self.namedBarsMax ? "" : bar.text)
            let right = max(end, begin + (text.isEmpty ? 0 : 8 + 6 * Double(bar.text.count)))
            if row == ends.count { ends.append(right) } else { ends[row] = right }
            let place = top + Double(row) * 18
            parts.append(
                """
                <g><title>\(Self.escaped(bar.text))\n\(Self.escaped(bar.detail))</title>\
                <rect x="\(number(begin))" y="\(number(place))" width="\(number(end - begin))" height="14" \
                fill="#d62728" fill-opacity="0.55"/>\
                <text x="\(number(begin + 4))" y="\(number(place + 11))" font-size="11">\(text)</text></g>
                """)
        }
        y = top + Double(max(1, ends.count)) * 18 + 12
    }

    /// Marks through all charts that follow, down to `bottom`.
    func bands(_ bands: [(from: UInt64, to: UInt64)], from top: Double, to bottom: Double) -> String {
        bands.map { band in
            let (begin, end) = (x(band.from), max(x(band.to), x(band.from) + 1))
            return """
                <rect x="\(number(begin))" y="\(number(top))" width="\(number(end - begin))" \
                height="\(number(bottom - top))" fill="#d62728" fill-opacity="0.07"/>
                """
        }.joined(separator: "\n")
    }

    /// A row of coloured pieces.
    mutating func pieces(_ label: String, _ pieces: [(from: UInt64, to: UInt64, colour: String, text: String)]) {
        parts.append(
            "<text x=\"\(number(Self.left - 6))\" y=\"\(number(y + 11))\" font-size=\"11\" text-anchor=\"end\">"
                + "\(Self.escaped(label))</text>")
        for piece in pieces {
            let begin = x(piece.from)
            parts.append(
                """
                <rect x="\(number(begin))" y="\(number(y))" width="\(number(max(0.5, x(piece.to) - begin)))" \
                height="13" fill="\(piece.colour)"><title>\(Self.escaped(piece.text))</title></rect>
                """)
        }
        y += 17
    }

    /// Lines over a common scale from zero to the largest value.
    mutating func lines(
        _ title: String, unit: String, height: Double = 80,
        _ lines: [(name: String, colour: String, points: [(at: UInt64, value: Double)])]
    ) {
        let largest = lines.flatMap { $0.points.map(\.value) }.max() ?? 0
        heading(
            title + " (at most \(Self.readable(largest))\(unit.isEmpty ? "" : " " + unit))",
            legend: lines.map { ($0.name, $0.colour) })
        let scale = largest > 0 ? (height - 4) / largest : 0
        let bottom = y + height
        parts.append(
            """
            <rect x="\(number(Self.left))" y="\(number(y))" width="\(number(Self.width - Self.left - Self.right))" \
            height="\(number(height))" fill="none" stroke="#ccc"/>
            <text x="\(number(Self.left - 6))" y="\(number(y + 10))" font-size="11" text-anchor="end">\
            \(Self.readable(largest))</text>
            <text x="\(number(Self.left - 6))" y="\(number(bottom))" font-size="11" text-anchor="end">0</text>
            """)
        for line in lines where !line.points.isEmpty {
            let points = line.points.map { "\(number(x($0.at))),\(number(bottom - $0.value * scale))" }
            parts.append(
                """
                <polyline points="\(points.joined(separator: " "))" fill="none" stroke="\(line.colour)" \
                stroke-width="1.2"/>
                """)
        }
        y = bottom + 12
    }

    mutating func heading(_ title: String, legend: [(name: String, colour: String)] = []) {
        y += 14
        var spans = ""
        for entry in legend { spans += "  <tspan fill=\"\(entry.colour)\">■ \(Self.escaped(entry.name))</tspan>" }
        parts.append(
            "<text x=\"\(number(Self.left))\" y=\"\(number(y - 4))\" font-size=\"12\" font-weight=\"bold\">"
                + "\(Self.escaped(title))\(spans)</text>")
    }

    /// Everything, with the axis of time under it.
    func finish(bands marks: [(from: UInt64, to: UInt64)], below top: Double) -> String {
        let seconds = length / 1_000_000_000
        let step = [0.5, 1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600].first { seconds / $0 <= 14 } ?? 7_200
        var axis: [String] = []
        var time = 0.0
        while time <= seconds {
            let place = number(x(UInt64(time * 1_000_000_000)))
            axis.append(
                """
                <line x1="\(place)" y1="\(number(top))" x2="\(place)" y2="\(number(y))" stroke="#eee"/>\
                <text x="\(place)" y="\(number(y + 14))" font-size="11" text-anchor="middle">\(Self.readable(time)) s</text>
                """)
            time += step
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(Self.width)) \(number(y + 24))" \
            font-family="sans-serif">
            \(axis.joined(separator: "\n"))
            \(bands(marks, from: top, to: y))
            \(parts.joined(separator: "\n"))
            </svg>
            """
    }

    /// Where the next part begins.
    var top: Double { y }

    // MARK: Numbers

    private func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    static func readable(_ value: Double) -> String {
        value >= 100 || value == value.rounded() ? "\(Int(value.rounded()))" : "\((value * 10).rounded() / 10)"
    }
}
