import Testing

@testable import MetadataServer

@Suite("Memory of the process and its control group")
struct MemoryReaderTests {
    private func reader(_ files: [String: String]) -> MemoryReader {
        MemoryReader(contents: { files[$0] }, pageBytes: 4_096)
    }

    private static let machine = ["/proc/meminfo": "MemTotal:        8388608 kB\nMemFree: 1 kB\n"]

    private func limit(_ files: [String: String]) -> UInt64? {
        reader(files.merging(Self.machine) { own, _ in own }).limit()
    }

    @Test("resident memory is the second field of statm, in pages")
    func used() {
        #expect(reader(["/proc/self/statm": "5000 300 200 1 0 400 0\n"]).used() == 300 * 4_096)
        for text in ["", "5000", "5000 x", "\n"] { #expect(reader(["/proc/self/statm": text]).used() == nil) }
        #expect(reader([:]).used() == nil)
    }

    @Test("without a control group the machine is the limit")
    func machine() {
        #expect(limit([:]) == 8 << 30)
        #expect(limit(["/proc/self/cgroup": "0::/user\n", "/sys/fs/cgroup/user/memory.max": "max\n"]) == 8 << 30)
        #expect(reader([:]).limit() == nil)
        #expect(reader(["/proc/meminfo": "MemTotal: no kB\n"]).limit() == nil)
    }

    @Test("version 2: the smallest limit of the group and those above it")
    func versionTwo() {
        let files = [
            "/proc/self/cgroup": "0::/pod/metad\n", "/sys/fs/cgroup/pod/metad/memory.max": "1073741824\n",
            "/sys/fs/cgroup/pod/memory.max": "536870912\n",
        ]
        #expect(limit(files) == 512 << 20)
        // In a container the group of the host is not to be seen, its own is the root.
        #expect(limit(["/proc/self/cgroup": "0::/host/x\n", "/sys/fs/cgroup/memory.max": "1000\n"]) == 1_000)
        #expect(limit(["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "2000\n"]) == 2_000)
    }

    @Test("version 1: the group of the memory controller, whose largest number is none")
    func versionOne() {
        let cgroup = "12:cpu,cpuacct:/a\n9:memory:/docker/abc\n1:name=systemd:/b\n"
        let path = "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes"
        #expect(limit(["/proc/self/cgroup": cgroup, path: "268435456\n"]) == 256 << 20)
        #expect(limit(["/proc/self/cgroup": cgroup, path: "9223372036854771712\n"]) == 8 << 30)
    }

    @Test("what makes no sense is no limit")
    func nonsense() {
        for text in ["", "0\n", "-1\n", "lots\n"] {
            #expect(limit(["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": text]) == 8 << 30)
        }
        #expect(limit(["/proc/self/cgroup": "x\n::\n0:\n0::\n"]) == 8 << 30)
    }
}
