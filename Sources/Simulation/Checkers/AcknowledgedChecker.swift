package import RaftCore

/// What was answered is never lost, what was removed stays away, and nothing comes from nowhere. For things that have a name,
/// as topics do, and one operation on each name at a time.
package struct AcknowledgedChecker {
    private enum Life {
        /// A creation was sent; it may or may not be there.
        case maybeCreated
        case created
        /// A removal was sent after the creation; it may or may not be there.
        case maybeRemoved
        case removed
    }

    private var lives: [String: Life] = [:]
    package private(set) var acknowledgements = 0

    package init() {}

    package mutating func sendsCreation(_ name: String) { lives[name] = .maybeCreated }

    package mutating func acknowledgesCreation(_ name: String) {
        lives[name] = .created
        acknowledgements += 1
    }

    package mutating func sendsRemoval(_ name: String) {
        if lives[name] != nil { lives[name] = .maybeRemoved }
    }

    package mutating func acknowledgesRemoval(_ name: String) {
        lives[name] = .removed
        acknowledgements += 1
    }

    /// Everything that `node` has, which has caught up.
    package func judge(_ names: Set<String>, on node: NodeID) throws(Violation) {
        for (name, life) in lives.sorted(by: { $0.key < $1.key }) {
            switch life {
            case .created where !names.contains(name):
                throw Violation(rule: "acknowledged never lost", detail: "node \(node) lacks \(name)")
            case .removed where names.contains(name):
                throw Violation(rule: "removed stays away", detail: "node \(node) still has \(name)")
            case .created, .removed, .maybeCreated, .maybeRemoved:
                continue
            }
        }
        if let name = names.filter({ lives[$0] == nil }).min() {
            throw Violation(rule: "no invention", detail: "node \(node) has \(name), which nobody created")
        }
    }
}
