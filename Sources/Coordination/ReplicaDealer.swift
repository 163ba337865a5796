/// Deals replicas anew to the brokers that may be given some, racks in turn, as one deals cards. Capacity does not count.
struct ReplicaDealer {
    private let layout: ClusterLayout
    private(set) var slots: [UInt16]
    /// One broker of each rack, then the second of each, and so on.
    private let order: [Int]

    init(_ layout: ClusterLayout) {
        self.layout = layout
        slots = layout.slots
        var byRack = [[Int]](repeating: [], count: layout.rackCount)
        for place in layout.brokers.indices where layout.brokers[place].role == .open {
            byRack[layout.rackOf[place]].append(place)
        }
        var order: [Int] = []
        for turn in 0..<(byRack.map(\.count).max() ?? 0) {
            for members in byRack where turn < members.count { order.append(members[turn]) }
        }
        self.order = order
    }

    /// The broker of the turn leads; its followers are further along, ever further with each round, so that different groups
    /// of brokers share partitions (as Kafka assigns replicas). A partition with more replicas than brokers stays.
    mutating func deal(_ partition: Int, turn: Int) {
        let range = layout.range(of: partition)
        guard !range.isEmpty, order.count >= range.count else { return }
        let shift = order.count > 1 ? turn / order.count % (order.count - 1) : 0
        var chosen = [order[turn % order.count]]
        // Racks that have none yet first.
        for mayShareRack in [false, true] {
            for step in 0..<order.count - 1 where chosen.count < range.count {
                let place = order[(turn + 1 + (shift + step) % (order.count - 1)) % order.count]
                guard !chosen.contains(place) else { continue }
                if !mayShareRack, chosen.contains(where: { layout.rackOf[$0] == layout.rackOf[place] }) { continue }
                chosen.append(place)
            }
        }
        for (slot, place) in zip(range, chosen) { slots[slot] = UInt16(place) }
    }

    /// The partitions of one topic: each broker leads a range of them, the first brokers one more where it does not divide.
    mutating func dealRanges(_ partitions: Range<Int>) {
        guard !order.isEmpty else { return }
        let (size, longer) = (partitions.count / order.count, partitions.count % order.count)
        var partition = partitions.lowerBound
        for turn in order.indices {
            for _ in 0..<(size + (turn < longer ? 1 : 0)) {
                deal(partition, turn: turn)
                partition += 1
            }
        }
    }
}
