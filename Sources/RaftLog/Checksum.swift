import CZlib

/// CRC-32 as zlib computes it (polynomial 0xEDB88320).
enum Checksum {
    /// Continues `seed` over `bytes`. A chain of records passes each record's result on as the seed of the next.
    static func crc32(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return seed }
        return UInt32(truncatingIfNeeded: crc32_z(UInt(seed), base.assumingMemoryBound(to: UInt8.self), bytes.count))
    }

    /// Eight hexadecimal digits, for files that are text.
    static func text(of text: String) -> String {
        let value = Array(text.utf8).withUnsafeBytes { crc32($0) }
        return String(UInt64(value).hexadecimal.suffix(8))
    }
}

// All numbers on disk are little-endian. Bounds are the caller's duty and are checked by the buffer in debug builds; every
// decoder compares lengths before it loads.
extension UnsafeRawBufferPointer {
    func load8(_ offset: Int) -> UInt8 { self[offset] }
    func load32(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    func load64(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }

    /// True when every byte is zero.
    var isZero: Bool {
        var offset = 0
        while offset + 8 <= count {
            if loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 { return false }
            offset += 8
        }
        while offset < count {
            if self[offset] != 0 { return false }
            offset += 1
        }
        return true
    }
}

extension UnsafeMutableRawBufferPointer {
    func store8(_ value: UInt8, _ offset: Int) { self[offset] = value }
    func store32(_ value: UInt32, _ offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
    }
    func store64(_ value: UInt64, _ offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
    }
}
