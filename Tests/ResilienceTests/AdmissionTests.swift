import Resilience
import Testing

@Suite("Admission")
struct AdmissionTests {
    @Test("requests and bytes are bounded, and what ends makes room")
    func bounds() {
        var admission = Admission(.init(requestsMax: 2, bytesMax: 100))
        #expect(admission.obstacle(toBytes: 60) == nil)
        admission.begin(bytes: 60)
        #expect(admission.obstacle(toBytes: 41) == .bytes)
        #expect(admission.obstacle(toBytes: 40) == nil)
        admission.begin(bytes: 40)
        #expect(admission.obstacle(toBytes: 0) == .requests)
        admission.end(bytes: 60)
        #expect((admission.requests, admission.bytes) == (1, 40))
        #expect(admission.obstacle(toBytes: 60) == nil)
        admission.end(requests: 1, bytes: 40)
        #expect((admission.requests, admission.bytes) == (0, 0))
    }

    @Test("a request that is larger than the bound is let in alone")
    func large() {
        var admission = Admission(.init(requestsMax: 10, bytesMax: 100))
        #expect(admission.obstacle(toBytes: 1_000) == nil)
        admission.begin(bytes: 1_000)
        #expect(admission.obstacle(toBytes: 1) == .bytes)
    }
}

@Suite("Memory pressure")
struct MemoryPressureTests {
    private func levels(_ percents: [UInt64]) -> [MemoryPressure.Level] {
        var pressure = MemoryPressure(.init(shed: 80, refuse: 90))
        return percents.map {
            pressure.measured(used: $0 * 10, limit: 1_000)
            return pressure.level
        }
    }

    @Test("a mark that is reached counts at once, and until there is room below it again")
    func hysteresis() {
        #expect(
            levels([50, 79, 80, 76, 75, 74, 80]) == [.calm, .calm, .shedding, .shedding, .shedding, .calm, .shedding])
        #expect(
            levels([95, 89, 86, 84, 90, 84, 74]) == [
                .refusing, .refusing, .refusing, .shedding, .refusing, .shedding, .calm,
            ])
        #expect(levels([99, 10]) == [.refusing, .calm])
    }

    @Test("it says whether anything has changed, and no amount of memory is too large for it")
    func changes() {
        var pressure = MemoryPressure(.init(shed: 80, refuse: 90))
        let changes = [0, UInt64.max - 1, .max].map { pressure.measured(used: $0, limit: .max) }
        #expect(changes == [false, true, false])
        #expect(pressure.level == .refusing)
        #expect(MemoryPressure.Level.calm < .shedding)
    }
}
