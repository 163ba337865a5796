import CZlib

/// CRC32 as zlib computes it.
enum Checksum {
    static func crc32(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { continued(0, $0) }
    }

    /// The checksum of what `checksum` covers followed by `bytes`.
    static func continued(_ checksum: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard let start = bytes.bindMemory(to: UInt8.self).baseAddress else { return checksum }
        precondition(bytes.count <= Int(UInt32.max), "\(bytes.count) bytes in one checksum step")
        return UInt32(truncatingIfNeeded: CZlib.crc32(uLong(checksum), start, uInt(bytes.count)))
    }
}

enum Compression {
    static func compress(_ bytes: [UInt8], level: Int32) throws(StoreError) -> [UInt8] {
        var code = Z_OK
        let bound = Int(compressBound(uLong(bytes.count)))
        let compressed = [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
            var length = uLong(bound)
            code = compress2(buffer.baseAddress, &length, bytes, uLong(bytes.count), level)
            count = code == Z_OK ? Int(length) : 0
        }
        guard code == Z_OK else { throw .outOfMemory(operation: "compress a snapshot block (zlib \(code))") }
        return compressed
    }

    /// Exactly `rawCount` bytes, or nil when `bytes` are not a stream of so many.
    static func decompress(_ bytes: UnsafeRawBufferPointer, rawCount: Int) -> [UInt8]? {
        var isWhole = false
        let raw = [UInt8](unsafeUninitializedCapacity: rawCount) { buffer, count in
            var length = uLong(rawCount)
            let source = bytes.bindMemory(to: UInt8.self).baseAddress
            let code = uncompress(buffer.baseAddress, &length, source, uLong(bytes.count))
            isWhole = code == Z_OK && Int(length) == rawCount
            count = isWhole ? rawCount : 0
        }
        return isWhole ? raw : nil
    }
}
