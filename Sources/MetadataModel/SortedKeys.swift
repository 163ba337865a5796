/// A sorted collection of distinct keys in chunks, so that inserting into a large one moves few of them: O(log n) to find,
/// O(`chunkMax`) to insert or remove.
struct SortedKeys<Key: Comparable & Sendable>: Sendable {
    /// Each chunk is sorted and not empty, and all its keys are before those of the next.
    private var chunks: [[Key]] = []
    private(set) var count = 0

    private static var chunkMax: Int { 512 }

    var isEmpty: Bool { count == 0 }

    /// Inserts a key that is not there yet.
    mutating func insert(_ key: Key) {
        count += 1
        guard !chunks.isEmpty else {
            chunks.append([key])
            return
        }
        let chunk = min(SortedKeys.firstIndex(in: chunks) { $0[$0.count - 1] >= key }, chunks.count - 1)
        let place = SortedKeys.firstIndex(in: chunks[chunk]) { $0 >= key }
        precondition(place == chunks[chunk].count || chunks[chunk][place] != key, "key \(key) is there already")
        chunks[chunk].insert(key, at: place)
        guard chunks[chunk].count > SortedKeys.chunkMax else { return }
        let half = chunks[chunk].count / 2
        let upper = Array(chunks[chunk][half...])
        chunks[chunk].removeLast(upper.count)
        chunks.insert(upper, at: chunk + 1)
    }

    /// Removes a key that is there.
    mutating func remove(_ key: Key) {
        let chunk = SortedKeys.firstIndex(in: chunks) { $0[$0.count - 1] >= key }
        precondition(chunk < chunks.count, "key \(key) is not there")
        let place = SortedKeys.firstIndex(in: chunks[chunk]) { $0 >= key }
        precondition(chunks[chunk][place] == key, "key \(key) is not there")
        chunks[chunk].remove(at: place)
        if chunks[chunk].isEmpty { chunks.remove(at: chunk) }
        count -= 1
    }

    /// The keys after `key` (all keys when it is nil) in order, at most `limit`.
    func keys(after key: Key?, limit: Int) -> [Key] {
        var found: [Key] = []
        var chunk = 0
        var place = 0
        if let key {
            chunk = SortedKeys.firstIndex(in: chunks) { $0[$0.count - 1] > key }
            guard chunk < chunks.count else { return [] }
            place = SortedKeys.firstIndex(in: chunks[chunk]) { $0 > key }
        }
        while chunk < chunks.count, found.count < limit {
            found.append(contentsOf: chunks[chunk][place...].prefix(limit - found.count))
            chunk += 1
            place = 0
        }
        return found
    }

    /// The first index for which the condition holds, which holds for all after it; the count when there is none.
    private static func firstIndex<Element>(in array: [Element], where condition: (Element) -> Bool) -> Int {
        var low = 0
        var high = array.count
        while low < high {
            let middle = low + (high - low) / 2
            if condition(array[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// A string that is ordered and compared byte by byte, as a database does; `String` goes by what it looks like.
struct ByteOrdered: Hashable, Comparable, Sendable, CustomStringConvertible {
    let string: String

    init(_ string: String) { self.string = string }

    var description: String { string }

    static func == (lhs: ByteOrdered, rhs: ByteOrdered) -> Bool { lhs.string.hasSameBytes(as: rhs.string) }

    static func < (lhs: ByteOrdered, rhs: ByteOrdered) -> Bool {
        lhs.string.utf8.lexicographicallyPrecedes(rhs.string.utf8)
    }

    func hash(into hasher: inout Hasher) {
        var string = string
        string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
