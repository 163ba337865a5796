import Foundation

/// How many files and connections the process may have open at a time (getrlimit(2)).
package enum DescriptorLimit {
    /// Kept from clients, for log, database, peers, pages, and what is open for a moment. Without it the log cannot go on, and
    /// libdispatch, on Linux, ends the process when it wants to look at its threads in `/proc` and cannot.
    static let reserve = 64

    #if os(Linux)
        private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        private static let ceiling = rlim_t.max
    #else
        private static let resource = RLIMIT_NOFILE
        /// More is refused, whatever the hard limit says.
        private static let ceiling = rlim_t(OPEN_MAX)
    #endif

    /// Raises the soft limit to the hard one. It is low for the sake of select(2) only, which nobody calls here.
    package static func raise() {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < min(limit.rlim_max, ceiling) else { return }
        limit.rlim_cur = min(limit.rlim_max, ceiling)
        // Where that is refused the limit stays what it was, and fewer clients are served.
        _ = setrlimit(resource, &limit)
    }

    /// How many of `wanted` connections of clients there are descriptors for; one at least.
    ///
    /// - Parameter descriptors: of the process; -1 where there is no limit.
    static func connections(wanted: Int, descriptors: Int = sysconf(Int32(_SC_OPEN_MAX))) -> Int {
        descriptors < 0 ? wanted : min(wanted, max(1, descriptors - reserve))
    }
}
