internal import RaftCore

/// Which directions between members are cut.
struct Topology {
    struct Link: Hashable {
        var from: NodeID
        var to: NodeID
    }

    private(set) var cut: [Link] = []
    /// Whom clients do not reach either.
    private(set) var withoutClients: [NodeID] = []

    /// What `kind` cuts among `members`, drawn by `draw`, which gives numbers below its argument.
    init(_ kind: FaultKind, members: [NodeID], draw: (Int) -> Int) {
        guard members.count > 1 else { return }
        switch kind {
        case .isolation:
            let alone = members[draw(members.count)]
            for other in members where other != alone { block(alone, other) }
            if draw(2) == 0 { withoutClients = [alone] }
        case .halves:
            let first = members.filter { _ in draw(2) == 0 }
            for one in first { for other in members where !first.contains(other) { block(one, other) } }
        case .oneWay:
            // One member hears nobody, or is heard by nobody; or a single direction between two.
            let one = members[draw(members.count)]
            switch draw(3) {
            case 0: for other in members where other != one { cut.append(Link(from: other, to: one)) }
            case 1: for other in members where other != one { cut.append(Link(from: one, to: other)) }
            default:
                let other = members[draw(members.count)]
                if one != other { cut.append(Link(from: one, to: other)) }
            }
        case .bridge:
            // Two sides that hear each other only through one member (Cloudflare, November 2020).
            let bridge = members[draw(members.count)]
            let rest = members.filter { $0 != bridge }
            let first = Array(rest.prefix((rest.count + 1) / 2))
            for one in first { for other in rest where !first.contains(other) { block(one, other) } }
        case .ring:
            // Each hears its neighbours only.
            for (place, one) in members.enumerated() {
                for (otherPlace, other) in members.enumerated() where one < other {
                    let distance = abs(place - otherPlace)
                    if distance > 1, distance < members.count - 1 { block(one, other) }
                }
            }
        default:
            preconditionFailure("\(kind) is no topology")
        }
    }

    private mutating func block(_ one: NodeID, _ other: NodeID) {
        cut.append(Link(from: one, to: other))
        cut.append(Link(from: other, to: one))
    }
}
