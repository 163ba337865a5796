import Foundation
import Testing

@testable import MetadataServer

@Suite struct DescriptorLimitTests {
    @Test("clients leave the descriptors that the node needs itself")
    func reserve() {
        #expect(DescriptorLimit.connections(wanted: 10_000, descriptors: 1_024) == 960)
        #expect(DescriptorLimit.connections(wanted: 960, descriptors: 1_024) == 960)
        #expect(DescriptorLimit.connections(wanted: 10, descriptors: 1_024) == 10)
        #expect(DescriptorLimit.connections(wanted: 10_000, descriptors: 20) == 1)
        #expect(DescriptorLimit.connections(wanted: 10_000, descriptors: -1) == 10_000)
    }

    #if os(Linux)
        @Test("the soft limit is raised to the hard one")
        func raised() {
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            var limit = rlimit()
            #expect(getrlimit(resource, &limit) == 0)
            limit.rlim_cur = limit.rlim_max - 1
            #expect(setrlimit(resource, &limit) == 0)
            DescriptorLimit.raise()
            #expect(getrlimit(resource, &limit) == 0)
            #expect(limit.rlim_cur == limit.rlim_max)
        }
    #endif
}
