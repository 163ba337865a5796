/// What the faults that are under way do to links. Faults that overlap add up, and what one of them did ends with it.
actor LinkConditions {
    private let network: any ClusterNetwork
    /// By the number of the fault.
    private var conditions: [Int: [Link: LinkCondition]] = [:]
    private var lastNumber = 0
    private var applying: Task<Void, any Error>?

    init(_ network: any ClusterNetwork) { self.network = network }

    /// A number under which a fault sets conditions of its own.
    func nextNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// What a fault does to links from now on, in place of what it did before; nothing ends it.
    func set(_ own: [Link: LinkCondition], of number: Int) async throws {
        let touched = Set(own.keys).union(conditions[number]?.keys.map { $0 } ?? [])
        conditions[number] = own.isEmpty ? nil : own
        let former = applying
        // One after the other, each by what holds when its turn comes: of two faults that end at once the one would otherwise
        // leave behind what the other still did when it began to end.
        let turn = Task {
            _ = await former?.result
            try await apply(to: touched)
        }
        applying = turn
        try await turn.value
    }

    private func apply(to touched: Set<Link>) async throws {
        var groups: [LinkCondition: [Link]] = [:]
        for link in touched.sorted() {
            let all = conditions.sorted { $0.key < $1.key }.compactMap { $0.value[link] }
            groups[all.reduce(.open) { $0.with($1) }, default: []].append(link)
        }
        for (condition, links) in groups { try await network.set(condition, on: links) }
    }
}

extension LinkCondition {
    /// Both at once.
    func with(_ other: LinkCondition) -> LinkCondition {
        var both = self
        switch (passage, other.passage) {
        case (.refused, _), (_, .refused): both.passage = .refused
        case (.silent, _), (_, .silent): both.passage = .silent
        case (.open, .open): both.passage = .open
        }
        both.delay += other.delay
        both.jitter += other.jitter
        both.lossPerMille += other.lossPerMille
        both.bytesPerSecond = [bytesPerSecond, other.bytesPerSecond].compactMap { $0 }.min()
        return both
    }
}
