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
            let count = try view.configs(of: resource).count + growth
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
        return .done(changes: changes, result: nil)
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
