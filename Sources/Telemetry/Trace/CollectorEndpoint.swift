/// Where traces go: the address of a collector that takes OTLP over HTTP.
package struct CollectorEndpoint: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int
    package var path: String

    /// `http://host:port/path`; without a port 4318, without a path `/v1/traces`, as OTLP has it. Nil for anything else: there is
    /// no TLS here (a collector beside the node has it), and a name with a password would end up in a log.
    package init?(_ text: String) {
        let scheme = "http://"
        guard text.hasPrefix(scheme), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            !text.contains(where: { "@?#".contains($0) })
        else { return nil }
        let rest = text.dropFirst(scheme.count)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let path = String(rest[slash...])
        self.path = path.isEmpty || path == "/" ? "/v1/traces" : path
        var authority = rest[..<slash]
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            authority = authority[authority.index(after: end)...]
            guard authority.isEmpty || authority.hasPrefix(":") else { return nil }
        } else {
            let colon = authority.firstIndex(of: ":") ?? authority.endIndex
            host = String(authority[..<colon])
            authority = authority[colon...]
        }
        port = 4_318
        if !authority.isEmpty {
            guard let number = UInt16(authority.dropFirst()), number > 0 else { return nil }
            port = Int(number)
        }
        guard !host.isEmpty else { return nil }
    }

    package var description: String { "http://\(authority)\(path)" }

    /// As the request names it.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
}
