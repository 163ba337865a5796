internal import Foundation
internal import RaftCore

extension TracedEntry {
    /// Cuts the columns. More than a sender may send, and what is no ASCII (of which a text may have another length), is refused
    /// like any other frame of no member.
    static func list(wire: WireTracedEntries) throws(WireError) -> [TracedEntry] {
        let count = wire.indexes.count
        guard count <= WireLimits.tracedPerFrameMax, wire.terms.count == count,
            wire.traceparents.count == count * traceparentBytes, wire.traceparents.allSatisfy({ $0 < 0x80 })
        else {
            throw .malformed(
                "\(count) traced entries with \(wire.terms.count) terms and \(wire.traceparents.count) bytes of traceparents"
            )
        }
        let text = [UInt8](wire.traceparents)
        return zip(wire.indexes, wire.terms).enumerated().map { place, position in
            TracedEntry(
                position: LogPosition(index: LogIndex(position.0), term: Term(position.1)),
                traceparent: String(
                    decoding: text[place * traceparentBytes..<(place + 1) * traceparentBytes], as: UTF8.self))
        }
    }

    static func wire(of traced: [TracedEntry]) -> WireTracedEntries {
        precondition(
            traced.count <= WireLimits.tracedPerFrameMax,
            "\(traced.count) traced entries in a frame, at most \(WireLimits.tracedPerFrameMax)")
        var wire = WireTracedEntries()
        for entry in traced {
            precondition(
                entry.traceparent.utf8.count == traceparentBytes,
                "a traceparent of \(entry.traceparent.utf8.count) bytes")
            wire.indexes.append(entry.position.index.rawValue)
            wire.terms.append(entry.position.term.rawValue)
            wire.traceparents.append(contentsOf: entry.traceparent.utf8)
        }
        return wire
    }
}
