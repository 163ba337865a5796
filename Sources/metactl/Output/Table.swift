/// Rows of text in columns that are as wide as their widest cell. Numbers are not aligned to the right, so that a column
/// can be cut with `awk` and read by eye alike.
struct Table {
    var header: [String]
    var rows: [[String]] = []

    init(_ header: [String]) {
        self.header = header
    }

    mutating func add(_ cells: [String]) {
        precondition(cells.count == header.count, "a row of \(cells.count) cells in a table of \(header.count) columns")
        rows.append(cells.map(Table.visible))
    }

    /// The table without a newline at its end, and no line with blanks at its end.
    var text: String {
        let lines = [header] + rows
        let widths = header.indices.map { column in lines.reduce(0) { max($0, $1[column].count) } }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                text += cell
                if column < line.count - 1 {
                    text += String(repeating: " ", count: widths[column] - cell.count + Table.gap)
                }
            }
            return text.trimmingBlanksAtEnd
        }.joined(separator: "\n")
    }

    /// Blanks between two columns.
    private static let gap = 2

    /// An empty cell would shift the fields of a line for `awk`, and a control character would break the line.
    private static func visible(_ cell: String) -> String {
        cell.isEmpty ? "-" : cell.printable
    }
}

extension String {
    /// The text with control characters escaped: values come from the network and must not drive a terminal.
    var printable: String {
        guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
        var text = ""
        for scalar in unicodeScalars {
            if scalar.properties.generalCategory == .control {
                text += scalar.escaped(asASCII: true)
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    var trimmingBlanksAtEnd: String {
        var end = endIndex
        while end > startIndex {
            let before = index(before: end)
            guard self[before] == " " else { break }
            end = before
        }
        return String(self[..<end])
    }

    /// The text made `width` characters wide with blanks in front.
    func paddedLeft(_ width: Int) -> String {
        count >= width ? self : String(repeating: " ", count: width - count) + self
    }
}
