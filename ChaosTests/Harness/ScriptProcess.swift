import Foundation

/// A command line in bash, with the signals of a process that a person starts. Foundation's `Process` hands down those that the
/// threads of the test runner block, so that nothing could be stopped in order.
final class ScriptProcess {
    let number: pid_t
    private var status: Int32?

    init(_ command: String, in folder: URL, environment: [String: String], output: URL) throws {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output.path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let words = ["/bin/bash", "-c", "cd '\(folder.path)'; " + command]
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var number: pid_t = 0
        let result = posix_spawn(&number, "/bin/bash", &actions, &attributes, arguments, variables)
        guard result == 0 else {
            throw LocalCluster.HarnessFailure(description: "cannot start bash: \(String(cString: strerror(result)))")
        }
        self.number = number
    }

    func send(_ signal: Int32) { kill(number, signal) }

    /// Its exit status; 128 and the signal when one ended it.
    @discardableResult
    func wait() -> Int32 {
        if let status { return status }
        var raw: Int32 = 0
        while waitpid(number, &raw, 0) == -1 && errno == EINTR {}
        let ended = raw & 0x7F == 0 ? (raw >> 8) & 0xFF : 128 + (raw & 0x7F)
        status = ended
        return ended
    }
}
