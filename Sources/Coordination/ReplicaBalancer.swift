/// Moves as few replicas as are needed until every broker holds its share, rounded down or up, and no rack holds two
/// replicas of a partition while another has none.
///
/// First what must move does: replicas on brokers that drain, and one of two in a rack. Then brokers above their upper
/// bound give to those that want most, and those below their lower bound take from those above it. Racks can bar every
/// direct way; then a replica makes room for another on the way (a shortest path, as in a flow).
struct ReplicaBalancer {
    private let layout: ClusterLayout
    private(set) var slots: [UInt16]
    /// Replicas that must move and cannot, by place in `slots`.
    private(set) var blocked: [Int] = []
    private let bounds: BalanceBounds
    private var counts: [Int32]
    private let partitionOf: [Int32]
    /// The replicas of each broker as it began: places in `slots`, those of the first broker first.
    private var held: [Int32]
    private var heldStarts: [Int32]
    private var receivers: ReceiverQueue

    init(_ layout: ClusterLayout) {
        self.layout = layout
        slots = layout.slots
        var counts = [Int32](repeating: 0, count: layout.brokers.count)
        for place in layout.slots { counts[Int(place)] += 1 }
        self.counts = counts
        var partitionOf = [Int32](repeating: 0, count: layout.replicaCount)
        for partition in 0..<layout.partitionCount {
            for slot in layout.range(of: partition) { partitionOf[slot] = Int32(partition) }
        }
        self.partitionOf = partitionOf
        let bounds = ReplicaBalancer.bounds(layout, counts)
        self.bounds = bounds
        (heldStarts, held) = ReplicaBalancer.index(slots, brokerCount: layout.brokers.count)
        receivers = ReceiverQueue(
            wants: layout.brokers.indices.map { [counts] in ReplicaBalancer.want(of: $0, layout, bounds, counts) },
            rackOf: layout.rackOf, rackCount: layout.rackCount)
    }

    mutating func balance() {
        moveWhatMust()
        giveSurplus()
        fillUp()
        detour()
    }

    /// Only what must move.
    mutating func moveWhatMust() {
        for partition in 0..<layout.partitionCount {
            let range = layout.range(of: partition)
            // Followers first: a leader that stays disturbs nobody.
            for slot in range.reversed() where mustMove(slot, range) {
                let from = Int(slots[slot])
                if let receiver = receiver(for: slot, whoWants: false) {
                    move(slot, to: receiver)
                } else if layout.roles[from] == .draining {
                    blocked.append(slot)
                }
            }
        }
    }

    // MARK: Bounds

    private static func bounds(_ layout: ClusterLayout, _ counts: [Int32]) -> BalanceBounds {
        let isOpen = layout.brokers.map { $0.role == .open }
        // What brokers hold that are given nothing stays where it is.
        var total = layout.replicaCount
        for (place, broker) in layout.brokers.enumerated() where broker.role == .closed { total -= Int(counts[place]) }
        // A broker holds one replica of a partition, and a rack as few as the number of racks allows.
        var rackMost = [Double](repeating: 0, count: layout.rackCount)
        let racks = max(layout.liveRackCount, 1)
        var most = 0
        for partition in 0..<layout.partitionCount {
            let factor = layout.range(of: partition).count
            most += factor <= racks ? 1 : (factor + racks - 1) / racks
        }
        for rack in rackMost.indices { rackMost[rack] = Double(most) }
        return BalanceBounds(
            total: total, weights: layout.brokers.indices.map { isOpen[$0] ? Double(layout.brokers[$0].capacity) : 0 },
            most: [Double](repeating: Double(layout.partitionCount), count: layout.brokers.count),
            groupOf: layout.rackOf, groupMost: rackMost)
    }

    private static func want(
        of place: Int, _ layout: ClusterLayout, _ bounds: BalanceBounds, _ counts: [Int32]
    ) -> Int32? {
        guard layout.roles[place] == .open else { return nil }
        let (floor, ceiling) = (bounds.floor[place], bounds.ceiling[place])
        return 2 * (floor - counts[place]) + (ceiling - floor)
    }

    /// Places in `slots` by broker, and where those of each broker begin.
    private static func index(_ slots: [UInt16], brokerCount: Int) -> (starts: [Int32], held: [Int32]) {
        var starts = [Int32](repeating: 0, count: brokerCount + 1)
        for place in slots { starts[Int(place) + 1] += 1 }
        for broker in 0..<brokerCount { starts[broker + 1] += starts[broker] }
        var next = starts
        var held = [Int32](repeating: 0, count: slots.count)
        for (slot, place) in slots.enumerated() {
            held[Int(next[Int(place)])] = Int32(slot)
            next[Int(place)] += 1
        }
        return (starts, held)
    }

    // MARK: Rules

    private func range(ofSlot slot: Int) -> Range<Int> { layout.range(of: Int(partitionOf[slot])) }

    private func mustMove(_ slot: Int, _ range: Range<Int>) -> Bool {
        let place = Int(slots[slot])
        switch layout.roles[place] {
        case .draining: return true
        case .closed: return false
        case .open: break
        }
        guard holds(rack: layout.rackOf[place], range, besides: slot) else { return false }
        // Another rack would have to be there that has none.
        return !coversLiveRacks(range, besides: slot)
    }

    private func holds(rack: Int, _ range: Range<Int>, besides slot: Int) -> Bool {
        for other in range where other != slot && layout.rackOf[Int(slots[other])] == rack { return true }
        return false
    }

    private func holds(broker: Int, _ range: Range<Int>) -> Bool {
        for other in range where Int(slots[other]) == broker { return true }
        return false
    }

    /// Whether the other replicas are in every rack that could take this one.
    private func coversLiveRacks(_ range: Range<Int>, besides slot: Int) -> Bool {
        guard range.count - 1 >= layout.liveRackCount else { return false }
        var racks: [Int] = []
        for other in range where other != slot {
            let rack = layout.rackOf[Int(slots[other])]
            if layout.isLiveRack[rack], !racks.contains(rack) { racks.append(rack) }
        }
        return racks.count == layout.liveRackCount
    }

    private func rackPasses(_ rack: Int, for slot: Int, _ range: Range<Int>, isCovered: Bool) -> Bool {
        isCovered || !holds(rack: rack, range, besides: slot)
    }

    private func mayMove(_ slot: Int, to broker: Int) -> Bool {
        let range = range(ofSlot: slot)
        guard layout.roles[broker] == .open, !holds(broker: broker, range) else { return false }
        let rack = layout.rackOf[broker]
        // Within its rack a replica makes nothing worse.
        return rack == layout.rackOf[Int(slots[slot])]
            || rackPasses(rack, for: slot, range, isCovered: coversLiveRacks(range, besides: slot))
    }

    // MARK: Moving

    private mutating func receiver(for slot: Int, whoWants: Bool) -> Int? {
        let range = range(ofSlot: slot)
        let isCovered = coversLiveRacks(range, besides: slot)
        let (slots, rackOf) = (slots, layout.rackOf)
        return receivers.first(
            whoWants: whoWants,
            rackPasses: { rack in
                isCovered || !range.contains { $0 != slot && rackOf[Int(slots[$0])] == rack }
            },
            passes: { broker in !range.contains { Int(slots[$0]) == broker } })
    }

    private mutating func move(_ slot: Int, to broker: Int) {
        let from = Int(slots[slot])
        precondition(from != broker, "a replica of broker \(layout.brokers[from].id) moves to itself")
        slots[slot] = UInt16(broker)
        counts[from] -= 1
        counts[broker] += 1
        for place in [from, broker] {
            receivers.set(place, wants: ReplicaBalancer.want(of: place, layout, bounds, counts))
        }
    }

    /// Brokers above their upper bound give, followers before leaders, while somebody below theirs may take.
    private mutating func giveSurplus() {
        for place in layout.brokers.indices where layout.roles[place] == .open {
            for leads in [false, true] {
                var position = Int(heldStarts[place])
                while counts[place] > bounds.ceiling[place], position < Int(heldStarts[place + 1]) {
                    let slot = Int(held[position])
                    position += 1
                    guard Int(slots[slot]) == place, (range(ofSlot: slot).lowerBound == slot) == leads else { continue }
                    if let receiver = receiver(for: slot, whoWants: true) { move(slot, to: receiver) }
                }
            }
        }
    }

    /// Brokers below their lower bound take from those that are above it.
    private mutating func fillUp() {
        for place in layout.brokers.indices
        where layout.roles[place] == .open && counts[place] < bounds.floor[place] {
            for giver in layout.brokers.indices where layout.roles[giver] == .open {
                guard counts[place] < bounds.floor[place] else { break }
                var position = Int(heldStarts[giver])
                while counts[giver] > bounds.floor[giver], counts[place] < bounds.floor[place],
                    position < Int(heldStarts[giver + 1])
                {
                    let slot = Int(held[position])
                    position += 1
                    if Int(slots[slot]) == giver, mayMove(slot, to: place) { move(slot, to: place) }
                }
            }
        }
    }

    // MARK: Ways round

    /// Comparisons that looking for ways round may cost: what is left then stays a little uneven.
    private static let detourBudget = 100_000_000

    private mutating func detour() {
        var budget = ReplicaBalancer.detourBudget
        detour(from: { count, _, ceiling in count > ceiling }, to: { count, _, ceiling in count < ceiling }, &budget)
        detour(from: { count, floor, _ in count > floor }, to: { count, floor, _ in count < floor }, &budget)
    }

    /// Looks for ways from brokers to others for as long as there are any. The conditions are given what a broker holds, and
    /// its bounds.
    private mutating func detour(
        from gives: (Int32, Int32, Int32) -> Bool, to takes: (Int32, Int32, Int32) -> Bool, _ budget: inout Int
    ) {
        var isBarred: [Bool] = []
        while budget > 0 {
            let givers = brokers(gives)
            let takers = brokers(takes)
            guard !givers.isEmpty, !takers.isEmpty else { return }
            if isBarred.isEmpty { isBarred = [Bool](repeating: false, count: slots.count) }
            (heldStarts, held) = ReplicaBalancer.index(slots, brokerCount: layout.brokers.count)
            guard let path = way(from: givers, to: takers, isBarred, &budget) else { return }
            if let slot = follow(path) { isBarred[slot] = true }
        }
    }

    private func brokers(_ passes: (Int32, Int32, Int32) -> Bool) -> [Int] {
        layout.brokers.indices.filter {
            layout.roles[$0] == .open && passes(counts[$0], bounds.floor[$0], bounds.ceiling[$0])
        }
    }

    /// The shortest chain of moves from one of the brokers to a goal: the slots that move, in order, and where each goes.
    private func way(
        from sources: [Int], to goals: [Int], _ isBarred: [Bool], _ budget: inout Int
    ) -> [(slot: Int, to: Int)]? {
        var isGoal = [Bool](repeating: false, count: layout.brokers.count)
        for goal in goals { isGoal[goal] = true }
        var via = [(slot: Int, from: Int)?](repeating: nil, count: layout.brokers.count)
        var isSeen = [Bool](repeating: false, count: layout.brokers.count)
        for source in sources { isSeen[source] = true }
        var unseen = layout.brokers.indices.filter { !isSeen[$0] && layout.roles[$0] == .open }
        var queue = sources
        var next = 0
        while next < queue.count, !unseen.isEmpty {
            let place = queue[next]
            next += 1
            for position in Int(heldStarts[place])..<Int(heldStarts[place + 1]) {
                let slot = Int(held[position])
                guard !isBarred[slot] else { continue }
                budget -= unseen.count
                guard budget > 0 else { return nil }
                for target in unseen where mayMove(slot, to: target) {
                    via[target] = (slot, place)
                    isSeen[target] = true
                    queue.append(target)
                    if isGoal[target] { return chain(to: target, via) }
                }
                unseen.removeAll { isSeen[$0] }
                if unseen.isEmpty { break }
            }
        }
        return nil
    }

    private func chain(to goal: Int, _ via: [(slot: Int, from: Int)?]) -> [(slot: Int, to: Int)] {
        var path: [(slot: Int, to: Int)] = []
        var place = goal
        while let step = via[place] {
            path.append((step.slot, place))
            place = step.from
        }
        return path.reversed()
    }

    /// Two moves of one partition on the way could break the rules together, so each is checked again. The replica that
    /// may not move then is returned, and those before it are taken back.
    private mutating func follow(_ path: [(slot: Int, to: Int)]) -> Int? {
        var done: [(slot: Int, from: Int)] = []
        for (slot, to) in path {
            guard mayMove(slot, to: to) else {
                for (slot, from) in done.reversed() { move(slot, to: from) }
                return slot
            }
            done.append((slot, Int(slots[slot])))
            move(slot, to: to)
        }
        return nil
    }
}
