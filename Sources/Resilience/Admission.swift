/// How much is under way at a time, and the bound beyond which more is refused: a service that takes whatever comes serves
/// nobody in the end (Beyer et al., "Site Reliability Engineering", ch. 21).
package struct Admission: Sendable {
    package struct Bounds: Hashable, Sendable {
        package var requestsMax: Int
        /// One request may exceed it alone.
        package var bytesMax: Int

        package init(requestsMax: Int, bytesMax: Int) {
            precondition(
                requestsMax > 0 && bytesMax > 0, "bounds of \(requestsMax) and \(bytesMax) bytes let nothing in")
            self.requestsMax = requestsMax
            self.bytesMax = bytesMax
        }
    }

    /// The bound that a request would break.
    package enum Bound: String, Hashable, Sendable, CaseIterable {
        case requests
        case bytes
    }

    package let bounds: Bounds
    /// Under way. Never more than the bounds allow, but for one request that exceeds `bytesMax` alone.
    package private(set) var requests = 0
    package private(set) var bytes = 0

    package init(_ bounds: Bounds) { self.bounds = bounds }

    /// What a request of this size would break; nil when there is room.
    package func obstacle(toBytes more: Int) -> Bound? {
        if requests >= bounds.requestsMax { return .requests }
        if requests > 0, bytes + more > bounds.bytesMax { return .bytes }
        return nil
    }

    /// A request begins. Ask `obstacle` first.
    package mutating func begin(bytes more: Int) {
        requests += 1
        bytes += more
    }

    /// Requests have ended, or are given up.
    package mutating func end(requests count: Int = 1, bytes less: Int) {
        precondition(count <= requests && less <= bytes, "ended \(count), \(less) of \(requests), \(bytes) under way")
        requests -= count
        bytes -= less
    }
}
