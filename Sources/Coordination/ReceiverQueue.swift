import HeapModule

/// The brokers that may be given replicas, the neediest first, by rack. Entries that are no longer true stay in the heaps
/// until they surface.
struct ReceiverQueue {
    /// How much each broker wants: positive while it is below its upper bound, more than 1 below its lower one. Nil for
    /// brokers that are given nothing.
    private var wants: [Int32?]
    private let rackOf: [Int]
    private var brokersByRack: [Heap<UInt64>]
    private var racks = Heap<UInt64>()

    init(wants: [Int32?], rackOf: [Int], rackCount: Int) {
        self.wants = wants
        self.rackOf = rackOf
        brokersByRack = Array(repeating: Heap(), count: rackCount)
        for place in wants.indices { offer(place) }
    }

    mutating func set(_ place: Int, wants amount: Int32?) {
        wants[place] = amount
        offer(place)
    }

    /// The neediest broker whose rack passes, and which passes itself; nil when there is none.
    ///
    /// - Parameter whoWants: only one that wants something; otherwise the least full will do.
    mutating func first(whoWants: Bool, rackPasses: (Int) -> Bool, passes: (Int) -> Bool) -> Int? {
        var aside: [UInt64] = []
        defer { for entry in aside { racks.insert(entry) } }
        while let entry = racks.max {
            if whoWants, ReceiverQueue.amount(entry) <= 0 { return nil }
            _ = racks.popMax()
            let rack = Int(entry & 0xffff_ffff)
            guard let top = top(of: rack) else { continue }
            guard entry >> 32 == top >> 32 else {
                // The rack has another first broker by now; the entry that says so may have come before.
                if entry >> 32 > top >> 32 { racks.insert(ReceiverQueue.entry(ReceiverQueue.amount(top), rack)) }
                continue
            }
            // Members of a rack that want the same have said so each for itself; one entry is enough.
            guard !aside.contains(entry) else { continue }
            aside.append(entry)
            guard rackPasses(rack) else { continue }
            if let found = firstMember(of: rack, whoWants: whoWants, passes) { return found }
        }
        return nil
    }

    private mutating func firstMember(of rack: Int, whoWants: Bool, _ passes: (Int) -> Bool) -> Int? {
        var aside: [UInt64] = []
        defer { for entry in aside { brokersByRack[rack].insert(entry) } }
        while let entry = top(of: rack) {
            if whoWants, ReceiverQueue.amount(entry) <= 0 { return nil }
            let place = ReceiverQueue.item(entry)
            if passes(place) { return place }
            aside.append(entry)
            _ = brokersByRack[rack].popMax()
        }
        return nil
    }

    private mutating func offer(_ place: Int) {
        guard let amount = wants[place] else { return }
        let rack = rackOf[place]
        brokersByRack[rack].insert(ReceiverQueue.entry(amount, Int(UInt32.max) - place))
        racks.insert(ReceiverQueue.entry(amount, rack))
    }

    /// The first true entry of a rack.
    private mutating func top(of rack: Int) -> UInt64? {
        while let entry = brokersByRack[rack].max {
            if ReceiverQueue.amount(entry) == wants[ReceiverQueue.item(entry)] { return entry }
            _ = brokersByRack[rack].popMax()
        }
        return nil
    }

    /// The amount above the item; shifted, so that less than nothing sorts below nothing.
    private static func entry(_ amount: Int32, _ item: Int) -> UInt64 {
        UInt64(Int64(amount) + 1 << 31) << 32 | UInt64(item)
    }

    private static func amount(_ entry: UInt64) -> Int32 { Int32(Int64(entry >> 32) - 1 << 31) }

    /// Brokers are stored from the end, so that of two that want the same the one with the smaller id comes first.
    private static func item(_ entry: UInt64) -> Int { Int(UInt32.max) - Int(entry & 0xffff_ffff) }
}
