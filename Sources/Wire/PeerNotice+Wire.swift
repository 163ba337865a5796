internal import MetadataModel

extension PeerNotice {
    init(wire: WirePeerNotice) throws(WireError) {
        switch wire.kind {
        case .condition(let condition):
            self = .condition(PeerCondition(isDiskLow: condition.isDiskLow, isUnfit: condition.isUnfit))
        case .digestReport(let mark): self = .digestReport(DigestMark(wire: mark))
        case .digestVerdict(let mark): self = .digestVerdict(DigestMark(wire: mark))
        case nil: throw .unknownValue("peer notice")
        }
    }

    var wire: WirePeerNotice {
        var wire = WirePeerNotice()
        switch self {
        case .condition(let condition):
            var body = WirePeerNotice.Condition()
            body.isDiskLow = condition.isDiskLow
            body.isUnfit = condition.isUnfit
            wire.kind = .condition(body)
        case .digestReport(let mark): wire.kind = .digestReport(mark.wire)
        case .digestVerdict(let mark): wire.kind = .digestVerdict(mark.wire)
        }
        return wire
    }
}

extension DigestMark {
    fileprivate init(wire: WirePeerNotice.DigestMark) {
        self.init(index: wire.index, digest: wire.digest)
    }

    fileprivate var wire: WirePeerNotice.DigestMark {
        var wire = WirePeerNotice.DigestMark()
        wire.index = index
        wire.digest = digest
        return wire
    }
}
