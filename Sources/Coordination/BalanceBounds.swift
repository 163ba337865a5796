/// How many replicas, or leaders, each broker is to have: a share of the whole in proportion to its capacity, rounded down
/// and up. What a broker cannot hold goes to the others.
struct BalanceBounds {
    /// By place of the broker; 0 for brokers that take no part.
    let floor: [Int32]
    let ceiling: [Int32]
    /// The exact share.
    let share: [Double]

    /// - Parameters:
    ///   - total: what is shared.
    ///   - weights: 0 for brokers that take no part.
    ///   - most: the bound of each broker.
    ///   - groupOf: a number for each broker...
    ///   - groupMost: ...and the bound of all brokers of a group together.
    init(total: Int, weights: [Double], most: [Double], groupOf: [Int], groupMost: [Double]) {
        // Water is poured over the groups first, then over the brokers of each.
        var groupWeights = [Double](repeating: 0, count: groupMost.count)
        var groupRoom = [Double](repeating: 0, count: groupMost.count)
        for (place, weight) in weights.enumerated() where weight > 0 {
            groupWeights[groupOf[place]] += weight
            groupRoom[groupOf[place]] += most[place]
        }
        let levels = BalanceBounds.pour(
            Double(total), weights: groupWeights, most: zip(groupMost, groupRoom).map { min($0, $1) })
        var share = [Double](repeating: 0, count: weights.count)
        var members = [[Int]](repeating: [], count: groupMost.count)
        for place in weights.indices where weights[place] > 0 { members[groupOf[place]].append(place) }
        for (group, members) in members.enumerated() {
            let poured = BalanceBounds.pour(
                levels[group], weights: members.map { weights[$0] }, most: members.map { most[$0] })
            for (member, amount) in zip(members, poured) { share[member] = amount }
        }
        self.share = share
        // Sums of fractions are off by a little: 2.9999999 is 3.
        floor = share.map { Int32(($0 + 1e-6).rounded(.down)) }
        ceiling = share.map { Int32(($0 - 1e-6).rounded(.up)) }
    }

    /// Shares of an amount in proportion to weights, none above its bound. What does not fit at all is left out.
    private static func pour(_ amount: Double, weights: [Double], most: [Double]) -> [Double] {
        var shares = [Double](repeating: 0, count: weights.count)
        var isFull = weights.map { $0 <= 0 }
        var left = amount
        while left > 1e-9 {
            var weight = 0.0
            for place in weights.indices where !isFull[place] { weight += weights[place] }
            guard weight > 0 else { break }
            let level = left / weight
            var hasFilled = false
            for place in weights.indices where !isFull[place] && level * weights[place] >= most[place] {
                shares[place] = most[place]
                left -= most[place]
                isFull[place] = true
                hasFilled = true
            }
            guard !hasFilled else { continue }
            for place in weights.indices where !isFull[place] { shares[place] = level * weights[place] }
            break
        }
        return shares
    }
}
