internal import RaftCore

/// Values by member. A cluster is small: to look through all of it is faster than to hash.
struct NodeTable<Value> {
    private var nodes: [NodeID] = []
    private var values: [Value] = []

    subscript(node: NodeID) -> Value? {
        get { nodes.firstIndex(of: node).map { values[$0] } }
        set {
            let place = nodes.firstIndex(of: node)
            switch (place, newValue) {
            case (let place?, let value?): values[place] = value
            case (let place?, nil):
                nodes.remove(at: place)
                values.remove(at: place)
            case (nil, let value?): add(value, for: node)
            case (nil, nil): break
            }
        }
    }

    subscript(node: NodeID, default value: @autoclosure () -> Value) -> Value {
        get { self[node] ?? value() }
        _modify {
            if let place = nodes.firstIndex(of: node) {
                yield &values[place]
            } else {
                add(value(), for: node)
                yield &values[values.count - 1]
            }
        }
    }

    private mutating func add(_ value: Value, for node: NodeID) {
        nodes.append(node)
        values.append(value)
    }
}
