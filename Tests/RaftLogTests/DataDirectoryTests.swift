import RaftCore
import Testing

@testable import RaftLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct DataDirectoryTests {
    private let disk = DiskID(high: 0x3F25_04E0_4F89_11D3, low: 0x9A0C_0305_E82C_3301)

    @Test("a formatted directory opens with its identity, an empty log and folders that only the owner may enter")
    func formatAndOpen() throws {
        let parent = try TemporaryDirectory()
        let path = parent.path + "/data"
        try DataDirectory.format(path: path, clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        let opened = try DataDirectory.open(path: path, expectedClusterID: "c-1", expectedNodeID: NodeID(1))
        #expect(opened.identity == NodeIdentity(clusterID: "c-1", nodeID: NodeID(1), diskID: disk))
        #expect(opened.databasePath == path + "/metadata.sqlite")
        let (log, recovered) = try SegmentedLog.open(
            directory: opened.logDirectory, fileSystem: PosixFileSystem(), options: opened.logOptions)
        #expect(recovered == RecoveredLog(hardState: .initial, base: .zero, entries: []))
        log.close()
        for folder in [path, opened.logDirectory, opened.snapshotDirectory] { #expect(try mode(folder) == 0o700) }
        for file in [path + "/identity", path + "/lock", opened.logDirectory + "/hard-state"] {
            #expect(try mode(file) == 0o600)
        }
        opened.close()
    }

    @Test("formatting a formatted directory is refused and changes nothing")
    func formatTwice() throws {
        let parent = try TemporaryDirectory()
        let path = parent.path + "/data"
        try DataDirectory.format(path: path, clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        let before = try snapshot(path)
        let identity = try DataDirectory.identity(path: path)
        let error = #expect(throws: DataDirectoryError.alreadyFormatted(path: path, identity: identity)) {
            try DataDirectory.format(
                path: path, clusterID: "c-2", nodeID: NodeID(2), diskID: DiskID(high: 1, low: 1))
        }
        #expect(error?.description.contains("already formatted for node 1 of cluster c-1") == true)
        #expect(try snapshot(path) == before)
    }

    @Test("each error of opening says what to do")
    func openErrors() throws {
        let parent = try TemporaryDirectory()
        let path = parent.path + "/data"
        func open(_ cluster: String, _ node: UInt64) throws(DataDirectoryError) {
            try DataDirectory.open(path: path, expectedClusterID: cluster, expectedNodeID: NodeID(node)).close()
        }
        let missing = #expect(throws: DataDirectoryError.notFormatted(path: path)) { try open("c-1", 1) }
        #expect(missing?.description == "\(path) is not formatted: run `metad format --config FILE`")
        try DataDirectory.format(path: path, clusterID: "c-1", nodeID: NodeID(2), diskID: disk)
        let node = #expect(throws: DataDirectoryError.self) { try open("c-1", 1) }
        #expect(node?.description.contains("belongs to node 2 of cluster c-1; this is node 1") == true)
        let cluster = #expect(throws: DataDirectoryError.self) { try open("c-9", 2) }
        #expect(
            cluster?.description.contains("belongs to node 2 of cluster c-1; this is node 2 of cluster c-9") == true)
        let held = try DataDirectory.open(path: path, expectedClusterID: "c-1", expectedNodeID: NodeID(2))
        let used = #expect(throws: DataDirectoryError.inUse(path: path)) { try open("c-1", 2) }
        #expect(used?.description.contains("is in use by another process") == true)
        held.close()
        try open("c-1", 2)
    }

    @Test("a directory with something else in it is not formatted, nor one whose identity was lost")
    func notEmpty() throws {
        let parent = try TemporaryDirectory()
        let system = PosixFileSystem()
        _ = try system.open(parent.path + "/notes.txt", .createOrReplace)
        #expect(throws: DataDirectoryError.notEmpty(path: parent.path, name: "notes.txt")) {
            try DataDirectory.format(path: parent.path, clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        }
        let path = parent.path + "/data"
        try DataDirectory.format(path: path, clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        let log = try SegmentedLog.open(directory: path + "/log", fileSystem: system).log
        try log.write([Persist(sequence: 1, entries: [entry(1, term: 1)])])
        log.close()
        try system.remove(path + "/identity")
        #expect(throws: DataDirectoryError.self) {
            try DataDirectory.format(path: path, clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        }
    }

    @Test(
        "a cluster id that does not fit on a line is refused",
        arguments: ["", "two words", "a\nb", "ü", String(repeating: "x", count: 129)])
    func clusterIDs(id: String) throws {
        let parent = try TemporaryDirectory()
        #expect(throws: DataDirectoryError.invalidClusterID(id)) {
            try DataDirectory.format(path: parent.path + "/data", clusterID: id, nodeID: NodeID(1), diskID: disk)
        }
    }

    @Test("the identity file of version 1 is this text")
    func goldenIdentity() {
        let identity = NodeIdentity(clusterID: "5L6g3nShT-eMCtK--X86sw", nodeID: NodeID(1), diskID: disk)
        #expect(
            identity.encoded() == """
                streambus-metadata data directory
                format 1
                cluster 5L6g3nShT-eMCtK--X86sw
                node 1
                disk 3f2504e04f8911d39a0c0305e82c3301
                checksum 1bb4a097

                """)
    }

    @Test("the identity file of version 2 names the folder in which everything else lies")
    func goldenIdentityWithFolder() throws {
        let identity = NodeIdentity(clusterID: "c-2", nodeID: NodeID(1), diskID: disk, folder: "recovered-1")
        #expect(
            identity.encoded().hasPrefix(
                """
                streambus-metadata data directory
                format 2
                cluster c-2
                node 1
                disk 3f2504e04f8911d39a0c0305e82c3301
                folder recovered-1
                checksum\u{20}
                """))
        #expect(try NodeIdentity.parse(identity.encoded()) == identity)
        for folder in ["", ".", "..", "../other", "/tmp", "a b", "A", String(repeating: "x", count: 65)] {
            let text = NodeIdentity(clusterID: "c-2", nodeID: NodeID(1), diskID: disk, folder: folder).encoded()
            #expect(throws: NodeIdentity.ParseError.self, "folder \(folder)") { try NodeIdentity.parse(text) }
        }
    }

    @Test("the identity file of version 3 says that the node joined a cluster")
    func goldenIdentityOfJoined() throws {
        let identity = NodeIdentity(clusterID: "c-2", nodeID: NodeID(1), diskID: disk, hasJoined: true)
        let text = identity.encoded()
        #expect(text.contains("\nformat 3\n") && text.contains("\norigin joined\nchecksum "))
        #expect(try NodeIdentity.parse(text) == identity)
        let parent = try TemporaryDirectory()
        let path = parent.path + "/data"
        try DataDirectory.format(path: path, clusterID: "c-1", nodeID: NodeID(1), diskID: disk, joins: true)
        #expect(try DataDirectory.identity(path: path).hasJoined)
    }

    @Test("a replaced identity is the old one or the new one after a power loss at any point")
    func interruptedReplacement() throws {
        let old = NodeIdentity(clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        let new = NodeIdentity(clusterID: "c-2", nodeID: NodeID(1), diskID: disk, folder: "recovered-1")
        var seen: Set<String> = []
        for point in 0..<20 {
            for seed in UInt64(1)...8 {
                let system = CrashingFileSystem(directory: "/data")
                try DataDirectory.create(old, path: "/data", fileSystem: system)
                system.powerFailsAfter = system.trace.count + point
                var isDone = false
                do {
                    try DataDirectory.write(new, as: "identity", in: "/data", fileSystem: system)
                    isDone = true
                } catch {
                    system.crash(.picked(seed: seed))
                }
                let found = try DataDirectory.identity(path: "/data", fileSystem: system)
                #expect(found == old || found == new)
                #expect(!isDone || found == new)
                seen.insert("\(found.clusterID) \(isDone)")
            }
        }
        #expect(seen == ["c-1 false", "c-2 false", "c-2 true"])
    }

    @Test("an identity that was cut or has a flipped bit is refused", arguments: [nil, "recovered-1"])
    func damagedIdentity(folder: String?) throws {
        let identity = NodeIdentity(clusterID: "c-1", nodeID: NodeID(1), diskID: disk, folder: folder)
        let bytes = Array(identity.encoded().utf8)
        #expect(try NodeIdentity.parse(String(decoding: bytes, as: UTF8.self)) == identity)
        for length in 0..<bytes.count {
            #expect(throws: NodeIdentity.ParseError.self, "\(length) bytes") {
                try NodeIdentity.parse(String(decoding: bytes[..<length], as: UTF8.self))
            }
        }
        for offset in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[offset] ^= 1 << bit
                #expect(throws: NodeIdentity.ParseError.self, "bit \(bit) of byte \(offset)") {
                    try NodeIdentity.parse(String(decoding: damaged, as: UTF8.self))
                }
            }
        }
    }

    @Test("a format that a crash interrupted left nothing or all, and can be repeated")
    func interruptedFormat() throws {
        let identity = NodeIdentity(clusterID: "c-1", nodeID: NodeID(1), diskID: disk)
        var interrupted = 0
        for point in 0..<100 {
            for seed in UInt64(1)...4 {
                let system = CrashingFileSystem(directory: "/data")
                system.powerFailsAfter = point
                do {
                    try DataDirectory.create(identity, path: "/data", fileSystem: system)
                    #expect(try DataDirectory.identity(path: "/data", fileSystem: system) == identity)
                    if seed == 4 {
                        #expect(interrupted > 10)
                        return
                    }
                } catch {
                    interrupted += 1
                    system.crash(.picked(seed: seed))
                    do throws(DataDirectoryError) {
                        #expect(try DataDirectory.identity(path: "/data", fileSystem: system) == identity)
                    } catch {
                        #expect(error == .notFormatted(path: "/data"))
                        try DataDirectory.checkUnformatted("/data", system)
                        try DataDirectory.create(identity, path: "/data", fileSystem: system)
                    }
                    let options = LogOptions(diskID: disk, createIfEmpty: false)
                    let log = try SegmentedLog.open(directory: "/data/log", fileSystem: system, options: options)
                    #expect(log.recovered.entries.isEmpty)
                }
            }
        }
        Issue.record("formatting never ended")
    }

    private func mode(_ path: String) throws -> mode_t {
        var status = stat()
        guard stat(path, &status) == 0 else { throw FileSystemError(.status, path: path, errno: errno) }
        return status.st_mode & 0o777
    }

    /// Names and bytes of everything in a folder, one level deep.
    private func snapshot(_ path: String) throws -> [String: [UInt8]] {
        let system = PosixFileSystem()
        var result: [String: [UInt8]] = [:]
        for name in try system.list(path) {
            do throws(FileSystemError) {
                for inner in try system.list(path + "/" + name) { result[name + "/" + inner] = [] }
            } catch {
                let file = try system.open(path + "/" + name, .readOnly)
                result[name] = try file.readAll(limit: 1 << 20).map { Array($0.buffer) }
            }
        }
        return result
    }
}
