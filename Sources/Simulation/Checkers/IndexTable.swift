internal import RaftCore

/// Values by the index of an entry. Logs have no gaps, so neither has the table, and nothing is hashed.
struct IndexTable<Value> {
    private var values: [Value?] = []

    subscript(index: LogIndex) -> Value? {
        get { index.rawValue < values.count ? values[Int(index.rawValue)] : nil }
        set {
            let place = Int(index.rawValue)
            if place >= values.count { values.append(contentsOf: repeatElement(nil, count: place + 1 - values.count)) }
            values[place] = newValue
        }
    }
}
