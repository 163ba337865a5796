/// Makes other replicas the preferred leaders until every broker leads its share, rounded down or up, as far as it can with
/// what it holds. Only the order of replicas changes, which moves no data.
///
/// A partition may be led by any of its replicas, so this is a flow from brokers that lead too many to those that lead too
/// few, through partitions that both hold; it is found as Dinic's algorithm does, in rounds of shortest ways.
struct LeaderBalancer {
    private let layout: ClusterLayout
    private(set) var slots: [UInt16]
    private let bounds: BalanceBounds
    private var counts: [Int32]

    init(_ layout: ClusterLayout, slots: [UInt16]) {
        self.layout = layout
        self.slots = slots
        var counts = [Int32](repeating: 0, count: layout.brokers.count)
        var held = [Double](repeating: 0, count: layout.brokers.count)
        var total = 0
        for partition in 0..<layout.partitionCount {
            let range = layout.range(of: partition)
            let leader = Int(slots[range.lowerBound])
            counts[leader] += 1
            guard layout.roles[leader] == .open else { continue }
            total += 1
            for slot in range { held[Int(slots[slot])] += 1 }
        }
        self.counts = counts
        bounds = BalanceBounds(
            total: total,
            weights: layout.brokers.map { $0.role == .open ? Double($0.capacity) : 0 }, most: held,
            // Every broker for itself: racks do not matter for leaders.
            groupOf: [Int](repeating: 0, count: layout.brokers.count), groupMost: [Double(total)])
    }

    /// Rounds; each makes the shortest way longer, and ways are short.
    private static let roundsMax = 64

    mutating func balance() {
        for _ in 0..<LeaderBalancer.roundsMax {
            guard round({ $0 > $1.ceiling }, { $0 < $1.ceiling }) else { break }
        }
        for _ in 0..<LeaderBalancer.roundsMax {
            guard round({ $0 > $1.floor }, { $0 < $1.floor }) else { break }
        }
    }

    private typealias Limits = (floor: Int32, ceiling: Int32)

    private func limits(_ place: Int) -> Limits { (bounds.floor[place], bounds.ceiling[place]) }

    /// One round: levels from the brokers that may give, then leaderships handed along them. False when nothing moved.
    private mutating func round(_ gives: (Int32, Limits) -> Bool, _ takes: (Int32, Limits) -> Bool) -> Bool {
        let (starts, led) = index()
        var level = [Int32](repeating: -1, count: layout.brokers.count)
        var queue: [Int] = []
        for place in layout.brokers.indices
        where layout.roles[place] == .open && gives(counts[place], limits(place)) {
            level[place] = 0
            queue.append(place)
        }
        var nearest = Int32.max
        var unseen = layout.roles.count { $0 == .open } - queue.count
        var next = 0
        // Ways beyond the nearest taker are left to the next round.
        while next < queue.count, level[queue[next]] < nearest {
            let place = queue[next]
            next += 1
            for position in starts[place]..<starts[place + 1] where unseen > 0 {
                for slot in layout.range(of: Int(led[Int(position)])).dropFirst() {
                    let other = Int(slots[slot])
                    guard level[other] < 0, layout.roles[other] == .open else { continue }
                    level[other] = level[place] + 1
                    queue.append(other)
                    unseen -= 1
                    if takes(counts[other], limits(other)) { nearest = min(nearest, level[other]) }
                }
            }
        }
        guard nearest < .max else { return false }
        var pointers = starts
        var hasMoved = false
        for place in queue where level[place] == 0 {
            while gives(counts[place], limits(place)),
                hand(from: place, &level, &pointers, starts, led, takes)
            {
                hasMoved = true
            }
        }
        return hasMoved
    }

    /// Hands one leadership from a broker along rising levels to one that takes it.
    private mutating func hand(
        from source: Int, _ level: inout [Int32], _ pointers: inout [Int32], _ starts: [Int32], _ led: [Int32],
        _ takes: (Int32, Limits) -> Bool
    ) -> Bool {
        var path: [(partition: Int, slot: Int)] = []
        var place = source
        while true {
            if place != source, takes(counts[place], limits(place)) { break }
            guard let step = step(from: place, level, &pointers, starts, led) else {
                // A dead end, for everybody in this round: whoever led here looks for another way.
                guard let last = path.popLast() else { return false }
                level[place] = -1
                place = Int(slots[layout.range(of: last.partition).lowerBound])
                continue
            }
            path.append(step)
            place = Int(slots[step.slot])
        }
        for (partition, slot) in path {
            let first = layout.range(of: partition).lowerBound
            counts[Int(slots[first])] -= 1
            counts[Int(slots[slot])] += 1
            slots.swapAt(first, slot)
        }
        return true
    }

    /// The next partition that the broker leads and another broker of the next level could.
    private func step(
        from place: Int, _ level: [Int32], _ pointers: inout [Int32], _ starts: [Int32], _ led: [Int32]
    ) -> (partition: Int, slot: Int)? {
        while pointers[place] < starts[place + 1] {
            let partition = Int(led[Int(pointers[place])])
            let range = layout.range(of: partition)
            // It may have been handed on in this round.
            if Int(slots[range.lowerBound]) == place {
                for slot in range.dropFirst() where level[Int(slots[slot])] == level[place] + 1 {
                    return (partition, slot)
                }
            }
            pointers[place] += 1
        }
        return nil
    }

    /// The partitions that each broker leads, by broker.
    private func index() -> (starts: [Int32], led: [Int32]) {
        var starts = [Int32](repeating: 0, count: layout.brokers.count + 1)
        for partition in 0..<layout.partitionCount {
            starts[Int(slots[layout.range(of: partition).lowerBound]) + 1] += 1
        }
        for broker in layout.brokers.indices { starts[broker + 1] += starts[broker] }
        var next = starts
        var led = [Int32](repeating: 0, count: layout.partitionCount)
        for partition in 0..<layout.partitionCount {
            let leader = Int(slots[layout.range(of: partition).lowerBound])
            led[Int(next[leader])] = Int32(partition)
            next[leader] += 1
        }
        return (starts, led)
    }
}
