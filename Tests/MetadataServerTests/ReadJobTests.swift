import MetadataModel
import Testing

@testable import MetadataServer

@Suite("Reads in slices")
struct ReadJobTests {
    private func job(_ query: Query) -> ReadJob { ReadJob(purpose: .reply(connection: 1, request: 1), query: query) }

    private func sizes(_ queries: [Query]) -> [Int] {
        let jobs = queries.map(job)
        let slices = ReadJob.slices(of: jobs)
        #expect(slices.flatMap { $0.map(\.query) } == queries, "nothing is lost or changes its place")
        return slices.map(\.count)
    }

    @Test("point reads share a transaction, long lists do not")
    func sliced() {
        let list = Query.brokers(after: nil, limit: Limits.pageItemsMax)
        #expect(sizes([]) == [])
        #expect(sizes(Array(repeating: .summary, count: 256)) == [256])
        #expect(sizes(Array(repeating: .summary, count: 600)) == [256, 256, 88])
        #expect(sizes([list, list]) == [1, 1])
        #expect(sizes([.summary, list, .summary]) == [1, 1, 1])
        #expect(sizes([.brokers(after: nil, limit: 100), .brokers(after: nil, limit: 100), .summary]) == [3])
        #expect(sizes([.brokers(after: nil, limit: .min), .summary]) == [2])
    }
}
