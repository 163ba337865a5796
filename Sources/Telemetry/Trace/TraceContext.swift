import Tracing

/// A span's place in its trace, as W3C Trace Context (Recommendation of 23 November 2021) passes it on.
package struct TraceContext: Hashable, Sendable {
    /// The trace: two halves, not both zero.
    package var traceHigh: UInt64
    package var traceLow: UInt64
    /// The span; not zero.
    package var span: UInt64
    /// Whoever began the trace wants it recorded.
    package var isSampled: Bool

    package init(traceHigh: UInt64, traceLow: UInt64, span: UInt64, isSampled: Bool) {
        precondition(
            traceHigh | traceLow != 0 && span != 0, "a trace or span of nothing: \(traceHigh) \(traceLow) \(span)")
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.isSampled = isSampled
    }

    /// §3.2: `00-` 32 digits of the trace `-` 16 of the span `-` 2 of flags, in lower case. Nil for anything else: then the trace
    /// begins anew (§4.3). A later version is read as far as this one goes (§3.2.2).
    package init?(traceparent text: String) {
        let bytes = Array(text.utf8)
        let dash = UInt8(ascii: "-")
        guard bytes.count >= TraceContext.textBytes, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
            let version = hexadecimal(bytes[0..<2]), version != 0xff,
            version == 0
                ? bytes.count == TraceContext.textBytes : bytes.count == TraceContext.textBytes || bytes[55] == dash,
            let high = hexadecimal(bytes[3..<19]), let low = hexadecimal(bytes[19..<35]),
            let span = hexadecimal(bytes[36..<52]), let flags = hexadecimal(bytes[53..<55]), high | low != 0, span != 0
        else { return nil }
        self.init(traceHigh: high, traceLow: low, span: span, isSampled: flags & 1 == 1)
    }

    package var traceparent: String {
        var text = Array("00-".utf8)
        text.reserveCapacity(TraceContext.textBytes)
        text.append(hexadecimal: traceHigh)
        text.append(hexadecimal: traceLow)
        text.append(UInt8(ascii: "-"))
        text.append(hexadecimal: span)
        text.append(contentsOf: (isSampled ? "-01" : "-00").utf8)
        return String(decoding: text, as: UTF8.self)
    }

    /// 32 hexadecimal digits.
    package var traceID: String {
        var digits: [UInt8] = []
        digits.append(hexadecimal: traceHigh)
        digits.append(hexadecimal: traceLow)
        return String(decoding: digits, as: UTF8.self)
    }

    /// What version 00 takes.
    static let textBytes = 55
    /// The name under which it travels.
    static let key = "traceparent"
}

/// Lower case alone, as §2.3 has it.
private func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
        default: return nil
        }
    }
    return value
}

extension ServiceContext {
    private enum TraceKey: ServiceContextKey {
        typealias Value = TraceContext
    }

    /// The span that this context belongs to.
    package var trace: TraceContext? {
        get { self[TraceKey.self] }
        set { self[TraceKey.self] = newValue }
    }

    /// A context of this span alone.
    package init(_ trace: TraceContext) {
        self = .topLevel
        self.trace = trace
    }
}
