import MetadataClient

/// The circuit breakers of the nodes.
struct BreakersReport: Report, Equatable {
    struct Node: Encodable, Equatable {
        /// Null: it did not answer.
        @OrNull var node: UInt64?
        var address: String
        /// Why there is nothing to show; null when there is.
        @OrNull var error: String?
        var breakers: [Breaker]
    }

    struct Breaker: Encodable, Equatable {
        var name: String
        /// `closed`, `open` or `half_open`.
        var state: String
        /// Of an open one, in milliseconds.
        @OrNull var retryAfterMs: UInt32?
        var failuresInARow: UInt64
        var successes: UInt64
        var failures: UInt64
        /// What said nothing about the other side.
        var neutrals: UInt64
        /// Calls that were not let through.
        var rejections: UInt64
        /// How often it opened.
        var openings: UInt64
    }

    var nodes: [Node]

    init(_ found: [NodeBreakers]) {
        nodes = found.map { node in
            switch node.breakers {
            case .success(let readings):
                Node(
                    node: node.nodeID, address: "\(node.endpoint)", error: nil, breakers: readings.map(Breaker.init))
            case .failure(let error):
                Node(node: node.nodeID, address: "\(node.endpoint)", error: error.detail, breakers: [])
            }
        }
    }

    var table: String {
        var table = Table([
            "NODE", "BREAKER", "STATE", "RETRY-IN", "IN-A-ROW", "SUCCESSES", "FAILURES", "REJECTED", "OPENED",
        ])
        var silent: [String] = []
        for node in nodes {
            let name = node.node.map { "\($0)" } ?? node.address
            if let error = node.error { silent.append("node \(name): \(error)") }
            for breaker in node.breakers {
                table.add([
                    name, breaker.name, breaker.state, breaker.retryAfterMs.map { "\($0)ms" } ?? "",
                    "\(breaker.failuresInARow)", "\(breaker.successes)", "\(breaker.failures)",
                    "\(breaker.rejections)", "\(breaker.openings)",
                ])
            }
        }
        return ([table.text] + silent.map(\.printable)).joined(separator: "\n")
    }
}

extension BreakersReport.Breaker {
    fileprivate init(_ breaker: NodeBreakers.Breaker) {
        self.init(
            name: breaker.name, state: breaker.state, retryAfterMs: breaker.retryAfter,
            failuresInARow: breaker.failuresInARow, successes: breaker.successes, failures: breaker.failures,
            neutrals: breaker.neutrals, rejections: breaker.rejections, openings: breaker.openings)
    }
}
