extension Decider {
    /// Sets and removes keys of one resource, all or none. Keys that already are as asked for do not count as changed.
    /// A topic's version moves with its configuration, so that `ifVersion` guards both.
    func alterConfigs(_ command: Command.AlterConfigs) throws(Failure) -> Decision {
        var topic: Topic?
        let resource: ConfigResource
        switch command.resource {
        case .cluster:
            resource = .cluster
        case .broker(let id):
            guard try view.broker(id) != nil else { return .refused(.brokerNotFound(id)) }
            resource = .broker(id)
        case .topic(let reference):
            guard let found = try self.topic(reference) else { return .refused(.topicNotFound(reference)) }
            topic = found
            resource = .topic(found.id)
        }
        if let topic {
            if let refusal = versionMismatch(topic, command.ifVersion) { return .refused(refusal) }
        } else if command.ifVersion != nil {
            return .refused(.invalidRequest, "only a topic has a version to compare with")
        }
        guard !command.changes.isEmpty else {
            return .refused(.invalidRequest, "no configuration change is asked for")
        }
        if let refusal = ConfigRegistry.problem(with: command.changes, for: resource) { return .refused(refusal) }

        var changes: [Change] = []
        var growth = 0
        for change in command.changes {
            let before = try view.config(resource, name: change.name)
            if before.map(\.value).hasSameBytes(as: change.value) { continue }
            let after = change.value.map {
                ConfigEntry(resource: resource, name: change.name, value: $0, version: version)
            }
            growth += (after == nil ? 0 : 1) - (before == nil ? 0 : 1)
            changes.append(.config(before: before, after: after))
        }
        if growth > 0 {
            let count = try view.configCount(of: resource) + growth
            guard count <= Limits.configsPerResourceMax else {
                return .refused(
                    .limitExceeded,
                    "the resource would have \(count) configuration keys, \(Limits.configsPerResourceMax) are allowed")
            }
        }
        guard !changes.isEmpty, !command.validateOnly else { return .unchanged }
        if let topic {
            var after = topic
            after.version = version
            changes.append(.topic(before: topic, after: after))
        }
        changes += try followUps(of: command.changes, resource)
        return .done(changes: changes, result: nil)
    }

    /// Two keys say who may lead, so partitions follow them at once: those that a smaller `min.insync.replicas` lets commit
    /// without their eligible leaders, and those that an unclean election brings back. All of them are under-replicated, so
    /// a default of the cluster need not look at the others.
    private func followUps(
        of changes: [ConfigChange], _ resource: ConfigResource
    ) throws(Failure) -> [Change] {
        let keys = [ConfigRegistry.minInSyncReplicas, ConfigRegistry.uncleanElection]
        guard changes.contains(where: { keys.contains($0.name) }) else { return [] }
        var rules = PartitionRules(view: view, version: version, pending: (resource, changes))
        var found: [Change] = []
        func follow(_ partitions: [Partition]) throws(Failure) {
            for partition in partitions where partition.isr.count < partition.replicas.count {
                guard let after = try rules.settle(partition, from: partition) else { continue }
                found.append(.partition(before: partition, after: after))
            }
        }
        switch resource {
        case .broker:
            break
        case .topic(let id):
            try follow(view.partitions(of: id))
        case .cluster:
            var last: PartitionKey?
            while true {
                let page = try view.partitions(.underReplicated, after: last, limit: Limits.pageItemsMax)
                try follow(page)
                guard page.count == Limits.pageItemsMax, let key = page.last?.key else { break }
                last = key
            }
        }
        return found
    }
}

extension String? {
    fileprivate func hasSameBytes(as other: String?) -> Bool {
        switch (self, other) {
        case (nil, nil): true
        case (let mine?, let theirs?): mine.hasSameBytes(as: theirs)
        case (nil, _?), (_?, nil): false
        }
    }
}
