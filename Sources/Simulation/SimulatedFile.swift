package import RaftLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An open file of a `SimulatedFileSystem`.
package final class SimulatedFile: FileSystemFile {
    package let path: String
    private let node: SimulatedFileSystem.Node
    private let fileSystem: SimulatedFileSystem

    init(path: String, node: SimulatedFileSystem.Node, fileSystem: SimulatedFileSystem) {
        self.path = path
        self.node = node
        self.fileSystem = fileSystem
    }

    package func size() -> Int { node.live.count }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        guard offset < node.live.count else { return 0 }
        let count = min(buffer.count, node.live.count - offset)
        node.live.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        fileSystem.flipIfDue(buffer, count: count)
        return count
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        guard !bytes.isEmpty else { return }
        let missing = fileSystem.missingRoom(for: node, to: offset + bytes.count)
        // A full disk takes the part that still fits.
        let part = UnsafeRawBufferPointer(rebasing: bytes.dropLast(missing))
        if !part.isEmpty {
            try fileSystem.changes(.write, path)
            SimulatedFileSystem.put(part, at: offset, into: &node.live)
            node.pending.append(.write(offset: offset, bytes: [UInt8](part)))
        }
        guard missing == 0 else { throw fileSystem.lackOfRoom(.write, path) }
        node.lastWriteStart = offset
    }

    package func writeZeros(count: Int, at offset: Int) throws(FileSystemError) {
        guard count > 0 else { return }
        guard fileSystem.missingRoom(for: node, to: offset + count) == 0 else {
            throw fileSystem.lackOfRoom(.allocate, path)
        }
        try fileSystem.changes(.allocate, path)
        SimulatedFileSystem.putZeros(count: count, at: offset, into: &node.live)
        node.pending.append(.zeros(offset: offset, count: count))
    }

    package func synchronizeData() throws(FileSystemError) { try fileSystem.synchronize(node, path) }

    package func close() {}
}
