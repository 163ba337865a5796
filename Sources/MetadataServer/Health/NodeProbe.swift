/// A check that may block. It is begun and reports through `done`, once, on whatever thread: nobody waits for it.
struct NodeProbe: Sendable {
    var component: HealthComponent
    var begin: @Sendable (_ done: @escaping @Sendable (CheckResult) -> Void) -> Void
}

extension NodeProbe {
    /// Whether the threads that serve requests do their work, and in what time: each does what waits before it answers.
    static func all(_ storage: NodeStorage, statistics: StoreStatistics) -> [NodeProbe] {
        [
            NodeProbe(component: .log) { done in storage.probeLog { done(.pass) } },
            NodeProbe(component: .apply) { done in
                storage.probeWriter { result in
                    switch result {
                    case .success(let cache):
                        statistics.update(writer: cache)
                        done(.pass)
                    case .failure(let error): done(.fail("the database cannot be written: \(error)"))
                    }
                }
            },
            NodeProbe(component: .storage) { done in
                storage.probeReader { result in
                    switch result {
                    case .success(let cache):
                        statistics.update(reader: cache)
                        done(.pass)
                    case .failure(let error): done(.fail("the database cannot be read: \(error)"))
                    }
                }
            },
        ]
    }
}
