import Foundation

/// A network of its own (network_namespaces(7)), without a name: it is gone with the last process, socket and descriptor in
/// it, whatever becomes of the tests. Needs root.
///
/// Linux gives each thread a network; a thread of its own makes the namespace or goes there.
final class NetworkNamespace: Sendable {
    private let descriptor: Int32

    init() throws {
        descriptor = try onThread { () throws -> Int32 in
            guard let unshare = threadCall("unshare", as: UnshareCall.self), unshare(newNetwork) == 0 else {
                throw LocalCluster.HarnessFailure(description: "no network namespace: errno \(errno)")
            }
            let descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw LocalCluster.HarnessFailure(description: "cannot open a network namespace: errno \(errno)")
            }
            return descriptor
        }
    }

    deinit { _ = close(descriptor) }

    /// What other programs may name it by, for as long as this process holds it.
    var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

    /// The beginning of a command line that runs the rest in here.
    func launcher() throws -> [String] { [try NetworkNamespace.tool("nsenter"), "--net=\(path)", "--"] }

    /// From now on the sockets of this thread belong here; false: it cannot be.
    func enter() -> Bool {
        guard let setns = threadCall("setns", as: SetNamespaceCall.self) else { return false }
        return setns(descriptor, newNetwork) == 0
    }

    /// Runs a program in here, which has to end well, and returns what it printed.
    @discardableResult
    func run(_ program: String, _ arguments: String..., input: String = "") throws -> String {
        let process = Process()
        let command = try launcher() + [NetworkNamespace.tool(program)] + arguments
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        let (orders, output, errors) = (Pipe(), Pipe(), Pipe())
        process.standardInput = orders
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // Neither orders nor answers fill a pipe.
        if !input.isEmpty { try orders.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
        try orders.fileHandleForWriting.close()
        let printed = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complained = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw LocalCluster.HarnessFailure(
                description: "\(program) \(arguments) ended with \(process.terminationStatus): \(complained)")
        }
        return printed
    }

    /// Sets what lies below `/proc/sys/net` in here.
    func setKernel(_ name: String, to value: String) throws {
        try onThread { [self] in
            guard enter() else { throw LocalCluster.HarnessFailure(description: "cannot go to \(path)") }
            let file = open("/proc/sys/net/\(name)", O_WRONLY)
            defer { _ = close(file) }
            guard file >= 0, write(file, value, value.utf8.count) == value.utf8.count else {
                throw LocalCluster.HarnessFailure(description: "cannot set \(name): errno \(errno)")
            }
        }
    }

    /// Root's tools are not on everybody's path.
    static func tool(_ name: String) throws -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in folders + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
            let path = "\(folder)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw LocalCluster.HarnessFailure(description: "there is no program \(name)")
    }
}

private typealias UnshareCall = @convention(c) (Int32) -> Int32
private typealias SetNamespaceCall = @convention(c) (Int32, Int32) -> Int32
/// `CLONE_NEWNET`
private let newNetwork: Int32 = 0x4000_0000

/// A function of the C library that its headers show to few programs; nil where there is none of that name.
private func threadCall<Call>(_ name: String, as type: Call.Type) -> Call? {
    guard let address = dlsym(nil, name) else { return nil }
    return unsafeBitCast(address, to: type)
}

/// Runs it on a thread that ends with it, since what it does to its thread cannot be undone.
private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let answer = ThreadAnswer<Value>()
    let thread = Thread { answer.give(Result(catching: body)) }
    thread.name = "namespace"
    thread.start()
    return try answer.wait().get()
}

private final class ThreadAnswer<Value: Sendable>: @unchecked Sendable {
    // Written before the semaphore is raised, read after it was awaited.
    private var result: Result<Value, any Error>?
    private let isThere = DispatchSemaphore(value: 0)

    func give(_ result: Result<Value, any Error>) {
        self.result = result
        isThere.signal()
    }

    func wait() -> Result<Value, any Error> {
        isThere.wait()
        return result ?? .failure(LocalCluster.HarnessFailure(description: "a thread ended without an answer"))
    }
}
