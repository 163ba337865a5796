internal import MetadataSchema

extension NodeControl {
    init(wire: WireNodeControl) throws(WireError) {
        switch wire.action {
        case .setLogLevel(let request):
            self = .setLogLevel(request.level, component: request.component.isEmpty ? nil : request.component)
        case .reload: self = .reload
        case nil: throw .unknownValue("node control")
        }
    }

    var wire: WireNodeControl {
        var wire = WireNodeControl()
        switch self {
        case .setLogLevel(let level, let component):
            var request = WireNodeControl.SetLogLevel()
            request.level = level
            if let component { request.component = component }
            wire.action = .setLogLevel(request)
        case .reload: wire.action = .reload(ProtoNothing())
        }
        return wire
    }
}

extension NodeControlAnswer {
    init(wire: WireNodeControlAnswer) { self.init(isDone: wire.isDone, detail: wire.detail) }

    var wire: WireNodeControlAnswer {
        var wire = WireNodeControlAnswer()
        wire.isDone = isDone
        wire.detail = detail
        return wire
    }
}
