import MetadataModel

/// What somebody asks of simulated brokers while they run: a line on standard input.
enum FleetOrder: Hashable, Sendable {
    /// These die without a word, as processes that are killed.
    case kill(Selection)
    /// These come back, as new processes.
    case revive(Selection)
    /// All stop in order.
    case stop

    /// Which brokers.
    enum Selection: Hashable, Sendable {
        case all
        case range(ClosedRange<Int32>)

        func contains(_ id: BrokerID) -> Bool {
            switch self {
            case .all: true
            case .range(let range): range.contains(id.rawValue)
            }
        }
    }

    /// `kill 3`, `kill 3-8`, `revive all`, `stop`; nil when it is none of these.
    init?(line: String) {
        let words = line.split(whereSeparator: \.isWhitespace)
        switch (words.first, words.count) {
        case ("stop", 1), ("quit", 1):
            self = .stop
        case ("kill", 2):
            guard let selection = Selection(words[1]) else { return nil }
            self = .kill(selection)
        case ("revive", 2):
            guard let selection = Selection(words[1]) else { return nil }
            self = .revive(selection)
        default:
            return nil
        }
    }
}

extension FleetOrder.Selection {
    init?(_ word: Substring) {
        if word == "all" {
            self = .all
            return
        }
        let ends = word.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(ends.count), let first = Int32(ends[0]), let last = Int32(ends[ends.count - 1]),
            first >= 0,
            first <= last
        else { return nil }
        self = .range(first...last)
    }
}
