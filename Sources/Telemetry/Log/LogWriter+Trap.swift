import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What is written when the program finds a mistake of its own and ends by a trap: the lines before it are those that tell why.
extension LogWriter {
    /// Once a process, for the writer that lives as long as it does. Whoever has a handler of a signal already keeps it.
    package func writeOnTrap() {
        let kept = Unmanaged.passRetained(self)
        let address = UInt(bitPattern: kept.toOpaque())
        guard writerOnTrap.compareExchange(expected: 0, desired: address, ordering: .releasing).exchanged else {
            return kept.release()
        }
        for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE] {
            if let before = signal(number, trapped) { signal(number, before) }
        }
    }
}

/// Its address; zero while there is none.
private let writerOnTrap = Atomic<UInt>(0)

/// Runs on the thread that trapped, which may hold any lock: it takes none that it would have to wait for, and the kernel ends the
/// process if it should hang all the same.
private func trapped(_ number: Int32) {
    signal(number, SIG_DFL)
    alarm(2)
    guard let kept = UnsafeRawPointer(bitPattern: writerOnTrap.load(ordering: .acquiring)) else { return }
    Unmanaged<LogWriter>.fromOpaque(kept).takeUnretainedValue().writeWithoutWaiting()
    // Back to the instruction that trapped, which now ends the process.
}
