/// The address of a page or of what takes documents, by HTTP without TLS.
package struct HTTPEndpoint: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int
    package var path: String

    /// Of a collector that takes OTLP; without a port 4318, without a path `/v1/traces`.
    package init?(collector text: String) {
        self.init(text, port: 4_318, path: "/v1/traces")
    }

    /// `http://host:port/path`; port and path are those given here where it names none. Nil for anything else: there is no TLS here
    /// (a collector beside the node has it), and a name with a password would end up in a log.
    package init?(_ text: String, port: Int = 80, path: String = "/") {
        let scheme = "http://"
        guard text.hasPrefix(scheme), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            !text.contains(where: { "@?#".contains($0) })
        else { return nil }
        let rest = text.dropFirst(scheme.count)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        self.path = rest[slash...].count > 1 ? String(rest[slash...]) : path
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
        self.port = port
        if !authority.isEmpty {
            guard let number = UInt16(authority.dropFirst()), number > 0 else { return nil }
            self.port = Int(number)
        }
        guard !host.isEmpty else { return nil }
    }

    package var description: String { "http://\(authority)\(path)" }

    /// As the request names it.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
}
