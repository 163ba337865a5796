import MetadataStore
import RaftCore
import Replica
import SimulatedDisk
import Testing

@testable import MetadataServer

@Suite("The apply thread")
struct InstallTests {
    private let path = "/data/db"
    private let file = "/data/snapshot"
    private let members = RaftCore.Configuration(voters: [
        Member(id: NodeID(1), disk: DiskID(high: 1, low: 1), peerAddress: "a:1", clientAddress: "a:2")
    ])

    private func entries(_ indexes: ClosedRange<UInt64>) -> [Entry] {
        indexes.map { index in
            index == 1
                ? Entry(term: Term(1), index: LogIndex(1), kind: .configuration, payload: members.encoded())
                : Entry(term: Term(1), index: LogIndex(index), kind: .noop, payload: [])
        }
    }

    private func snapshot() throws -> [UInt8] {
        let vfs = SimulatedVFS(seed: 1)
        let store = try MetadataStore(path: path, fileSystem: vfs)
        _ = try store.apply(entries(1...9))
        _ = try store.writeSnapshot(to: file)
        try store.close()
        return try #require(vfs.volume.contents(file))
    }

    /// What comes of an installation over three entries that nothing has synced yet.
    private func install(
        _ bytes: [UInt8], _ prepare: (SimulatedVolume) -> Void
    ) throws -> (result: ApplyResult, failedSyncs: Int) {
        let vfs = SimulatedVFS(seed: 2)
        let store = try MetadataStore(path: path, fileSystem: vfs)
        _ = try store.apply(entries(1...3))
        vfs.volume.store(bytes, at: file)
        prepare(vfs.volume)
        let incoming = IncomingSnapshot(
            id: 1, from: NodeID(2), term: Term(1), position: LogPosition(index: LogIndex(9), term: Term(1)),
            configuration: members)
        let result = try #require(store.perform(.install(path: file, incoming)))
        return (result, vfs.volume.counts.failedSyncs)
    }

    @Test("a sync that fails while a snapshot is installed ends the node: what was not synced before is lost with it")
    func failedSync() throws {
        let bytes = try snapshot()
        var failures = 0
        for sync in 0..<20 {
            let (result, failed) = try install(bytes) { $0.syncFailsAfter = sync }
            guard failed > 0 else {
                if case .installed = result { break }
                Issue.record("without a fault: \(result)")
                break
            }
            failures += 1
            guard case .failed(let error) = result else {
                Issue.record("sync \(sync): \(result)")
                continue
            }
            #expect(!error.isDamage, "it is the disk's, and no peer's copy makes it good")
        }
        #expect(failures > 0)
    }

    @Test("a file that is refused and a full disk change nothing, and end nothing")
    func refused() throws {
        var bytes = try snapshot()
        let full = try install(bytes) { $0.capacityBytes = 0 }.result
        if case .installFailed(.diskFull, _) = full {} else { Issue.record("a full disk: \(full)") }
        bytes[bytes.count / 2] ^= 1
        let refused = try install(bytes) { _ in }.result
        if case .installFailed(.snapshot, _) = refused {} else { Issue.record("a damaged file: \(refused)") }
    }
}
