/// The configurations of the log: the one at its base and those of the entries after it. The last one is in effect, from
/// the moment its entry is in the log, committed or not (Raft §6).
struct ConfigurationHistory: Sendable {
    struct Item: Sendable {
        var index: LogIndex
        var configuration: Configuration
    }

    /// Never empty; indexes grow strictly; the first is the one in effect at the base. Each configuration is sound, and stays
    /// what it was when it came in.
    private var items: [Item]

    init(base: LogIndex, configuration: Configuration) {
        Self.check(configuration, base)
        items = [Item(index: base, configuration: configuration)]
    }

    var current: Configuration { items[items.count - 1].configuration }

    /// The index of the entry that holds `current`, or of the base.
    var currentIndex: LogIndex { items[items.count - 1].index }

    mutating func append(_ configuration: Configuration, at index: LogIndex) {
        precondition(index > currentIndex, "configuration at \(index) follows the one at \(currentIndex)")
        Self.check(configuration, index)
        items.append(Item(index: index, configuration: configuration))
    }

    private static func check(_ configuration: Configuration, _ index: LogIndex) {
        if let problem = configuration.problem() { preconditionFailure("the configuration at \(index): \(problem)") }
    }

    /// Entries from `index` on left the log; what is in effect is the last one that remains.
    ///
    /// - Returns: true when that changed the configuration in effect.
    mutating func truncate(from index: LogIndex) -> Bool {
        precondition(index > items[0].index, "truncation from \(index) reaches the base \(items[0].index)")
        let before = items.count
        while currentIndex >= index { items.removeLast() }
        return items.count != before
    }

    /// The base moves to `index`.
    mutating func compact(to index: LogIndex) {
        while items.count > 1 && items[1].index <= index { items.removeFirst() }
        items[0].index = index
        precondition(items.count == 1 || items[1].index > index, "configurations out of order after \(index)")
    }

    /// Where the last configuration stands that is known to be committed: nobody proposes one before the last is (erratum of Diss.
    /// §4.1), so the one before the last is, whatever is known here. The first one of a cluster counts as committed: it is not
    /// proposed, its founders begin with it.
    func committedIndex(committed: LogIndex) -> LogIndex {
        guard currentIndex > committed, let before = items.dropLast().last, !before.configuration.voters.isEmpty else {
            return currentIndex
        }
        return before.index
    }

    /// Those that may be in force: the last one and, until that is known to be committed, the one before it. Not those before
    /// that: see `committedIndex`.
    func inForce(committed: LogIndex) -> some Sequence<Configuration> {
        items.suffix(currentIndex <= committed ? 1 : 2).lazy.map(\.configuration)
    }

    /// The members of those that may be in force; the latest description of each, by id.
    func members(committed: LogIndex) -> [Member] {
        var members = current.members
        for configuration in inForce(committed: committed) {
            members += configuration.members.filter { member in !members.contains { $0.id == member.id } }
        }
        return members.sorted { $0.id < $1.id }
    }
}
