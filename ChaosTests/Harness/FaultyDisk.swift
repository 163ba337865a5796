import Foundation

/// A library that stands between a node and the kernel: it lets syncs of the log hang while a file exists, or fail while
/// another exists or from the n-th on. Compiled by the test.
struct FaultyDisk {
    private let library: URL
    private let folder: URL

    /// Nil where there is no C compiler.
    static func compiled(in folder: URL) throws -> FaultyDisk? {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/cc") else { return nil }
        let source = folder.appendingPathComponent("faulty-disk.c")
        let library = folder.appendingPathComponent("faulty-disk.so")
        try Self.source.write(to: source, atomically: true, encoding: .utf8)
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/cc")
        compiler.arguments = ["-shared", "-fPIC", "-O1", "-o", library.path, source.path, "-ldl"]
        try compiler.run()
        compiler.waitUntilExit()
        guard compiler.terminationStatus == 0 else {
            throw LocalCluster.HarnessFailure(description: "cc ended with \(compiler.terminationStatus)")
        }
        return FaultyDisk(library: library, folder: folder)
    }

    /// Syncs of the log of a node hang between `setHanging(id, true)` and `setHanging(id, false)`.
    func hanging(_ id: Int) -> [String: String] { ["LD_PRELOAD": library.path, "FAULTY_HANG": hang(id).path] }

    /// As `hanging`; syncs also fail with EIO from `fail(id)` on, those that hang then included.
    func hangingAndFailing(_ id: Int) -> [String: String] {
        hanging(id).merging(["FAULTY_EIO": failure(id).path]) { $1 }
    }

    func fail(_ id: Int) throws { try Data().write(to: failure(id)) }

    private func failure(_ id: Int) -> URL { folder.appendingPathComponent("fail\(id)") }

    /// Syncs of the log fail with EIO from the n-th on.
    func failing(from number: Int) -> [String: String] {
        ["LD_PRELOAD": library.path, "FAULTY_EIO_FROM": "\(number)"]
    }

    func setHanging(_ id: Int, _ isHanging: Bool) throws {
        if isHanging {
            try Data().write(to: hang(id))
        } else {
            try FileManager.default.removeItem(at: hang(id))
        }
    }

    private func hang(_ id: Int) -> URL { folder.appendingPathComponent("hang\(id)") }

    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>

        static int is_log(int descriptor) {
            char link[64], path[4096];
            snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
            ssize_t count = readlink(link, path, sizeof path - 1);
            if (count < 0) return 0;
            path[count] = 0;
            return strstr(path, "/log/") != NULL;
        }

        int fdatasync(int descriptor) {
            static int (*real)(int);
            static int calls;
            if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
            if (is_log(descriptor)) {
                const char *hang = getenv("FAULTY_HANG"), *from = getenv("FAULTY_EIO_FROM");
                while (hang && access(hang, F_OK) == 0) usleep(5000);
                const char *eio = getenv("FAULTY_EIO");
                if (eio && access(eio, F_OK) == 0) {
                    errno = EIO;
                    return -1;
                }
                if (from && __sync_add_and_fetch(&calls, 1) >= atoi(from)) {
                    errno = EIO;
                    return -1;
                }
            }
            return real(descriptor);
        }

        """
}
