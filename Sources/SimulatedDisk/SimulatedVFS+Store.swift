package import MetadataStore

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The store's own files, those of snapshots, lie on the same volume.
extension SimulatedVFS: StoreFileSystem {
    package var vfsName: String? { name }

    package func exists(_ path: String) -> Bool { volume.lookUp(path) != nil }

    package func open(_ path: String) throws(StoreError) -> any StoreFile {
        guard let file = volume.lookUp(path) else { throw .file(operation: "open", path: path, errno: ENOENT) }
        return SimulatedStoreFile(file, path: path, on: volume)
    }

    package func create(_ path: String) throws(StoreError) -> any StoreFile {
        do throws(SimulatedVolume.Failure) {
            return SimulatedStoreFile(try volume.create(path), path: path, on: volume)
        } catch { throw StoreError(error, "create", path) }
    }

    package func rename(_ from: String, to target: String) throws(StoreError) {
        do throws(SimulatedVolume.Failure) { try volume.rename(from, to: target) } catch {
            throw StoreError(error, "rename to \(target)", from)
        }
    }

    package func removeIfExists(_ path: String) throws(StoreError) {
        do throws(SimulatedVolume.Failure) { try volume.remove(path) } catch {
            if error != .notFound { throw StoreError(error, "remove", path) }
        }
    }

    package func syncDirectory(of path: String) throws(StoreError) {
        do throws(SimulatedVolume.Failure) { try volume.syncDirectory() } catch {
            throw StoreError(error, "sync the directory of", path)
        }
    }
}

private final class SimulatedStoreFile: StoreFile {
    private let file: VolumeFile
    private let path: String
    private let volume: SimulatedVolume
    private var position = 0

    init(_ file: VolumeFile, path: String, on volume: SimulatedVolume) {
        self.file = file
        self.path = path
        self.volume = volume
    }

    func size() throws(StoreError) -> Int { file.count }

    func read(_ count: Int) throws(StoreError) -> [UInt8] {
        do throws(SimulatedVolume.Failure) { try volume.noteRead(position) } catch {
            throw StoreError(error, "read", path)
        }
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = file.read(into: UnsafeMutableRawBufferPointer(buffer), at: position)
        }
        position += bytes.count
        return bytes
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        do throws(SimulatedVolume.Failure) { try volume.write(bytes, to: file, at: position) } catch {
            throw StoreError(error, "write", path)
        }
        position += bytes.count
    }

    func sync() throws(StoreError) {
        do throws(SimulatedVolume.Failure) { try volume.sync(file) } catch { throw StoreError(error, "sync", path) }
    }

    func close() throws(StoreError) {}
}

extension StoreError {
    fileprivate init(_ failure: SimulatedVolume.Failure, _ operation: String, _ path: String) {
        self =
            switch failure {
            case .full: .diskFull(operation: "\(operation) \(path)")
            case .notFound: .file(operation: operation, path: path, errno: ENOENT)
            case .inputOutput: .file(operation: operation, path: path, errno: EIO)
            }
    }
}
