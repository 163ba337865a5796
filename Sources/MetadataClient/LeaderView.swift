/// Whom the client takes for the leader, from what nodes say of themselves and of others.
///
/// A higher term always wins: there is one leader in a term (Raft §5.2), and a node that has not heard of a later term may
/// still name an earlier leader.
struct LeaderView: Hashable, Sendable {
    private enum State: Hashable, Sendable {
        /// Nobody was named in `term`. Exits: `known`.
        case unknown
        /// The node that led in `term` says that it does so no more: others that still name it are late. Exits: `known`
        /// in a higher term, or when a node names itself.
        case denied
        /// Exits: `known` in a higher term, `denied`, `unknown` by `forget`.
        case known(NodeKey)
    }

    private(set) var term: UInt64 = 0
    private var state: State = .unknown

    var node: NodeKey? {
        guard case .known(let node) = state else { return nil }
        return node
    }

    /// Somebody named a leader. `byItself`: the leader did. Answers whether the view has changed.
    mutating func named(_ node: NodeKey, term: UInt64, byItself: Bool) -> Bool {
        if term > self.term {
            self.term = term
            state = .known(node)
            return true
        }
        guard term == self.term else { return false }
        switch state {
        case .unknown:
            state = .known(node)
            return true
        case .denied:
            guard byItself else { return false }
            state = .known(node)
            return true
        case .known(let known):
            // The same node under another endpoint: what it says of itself counts.
            guard byItself, known != node else { return false }
            state = .known(node)
            return true
        }
    }

    /// A node says that it does not lead. Answers whether the view has changed.
    mutating func denied(by node: NodeKey) -> Bool {
        guard state == .known(node) else { return false }
        state = .denied
        return true
    }

    /// Nothing that was heard counts any more: a cluster that was restored may have gone back to lower terms.
    mutating func forget() {
        term = 0
        state = .unknown
    }
}
