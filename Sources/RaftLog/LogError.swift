package import RaftCore

/// Why the log cannot be opened or written. After the first error of a write nothing is tried again: the member stops.
package enum LogError: Error, Hashable, CustomStringConvertible {
    /// The operating system refused a call.
    case io(operation: FileOperation, path: String, errno: Int32)
    /// There is no room. Nothing of the last sync is in doubt, and what was not done yet is remembered: when there is room,
    /// `SegmentedLog.write` goes on. A sync that fails for lack of room is an `io` error like any other.
    case full(operation: FileOperation, path: String, errno: Int32)
    /// Synced bytes are not what was written. Nothing was cut: acknowledged entries may be behind the damage. `record` is the
    /// index of the first entry that could not be read, where there is one.
    case corrupt(file: String, offset: Int, record: LogIndex?, reason: String)
    case unsupportedVersion(file: String, found: UInt32, supported: UInt32)
    /// The file was written for another data directory.
    case foreign(file: String, found: DiskID, expected: DiskID)
    /// The folder holds no log, and `LogOptions.createIfEmpty` does not allow to make one.
    case missing(directory: String)
    /// An earlier call failed with `first`; what is on the disk is not known any more.
    case failedBefore(first: String)

    init(_ error: FileSystemError) {
        self =
            error.isLackOfRoom
            ? .full(operation: error.operation, path: error.path, errno: error.errno)
            : .io(operation: error.operation, path: error.path, errno: error.errno)
    }

    /// Whether the log may be given up for a copy from the other members: entries are damaged or gone, and term and vote,
    /// without which this member may not come back under its name, are not.
    package var isRepairable: Bool {
        switch self {
        case .corrupt(let file, _, _, _): !file.hasSuffix("/" + HardStateFile<PosixFileSystem>.name)
        case .io, .full, .unsupportedVersion, .foreign, .missing, .failedBefore: false
        }
    }

    /// Whether another attempt to open the log would find the same: what is on the disk is not what this member wrote, and
    /// is no error of a moment.
    package var isPermanent: Bool {
        switch self {
        case .corrupt: !isRepairable
        case .unsupportedVersion, .foreign, .missing: true
        case .io, .full, .failedBefore: false
        }
    }

    package var description: String {
        switch self {
        case .io(let operation, let path, let errno), .full(let operation, let path, let errno):
            return describe(operation, path: path, errno: errno)
        case .corrupt(let file, let offset, let record, let reason):
            let place = record.map { "offset \(offset), record \($0)" } ?? "offset \(offset)"
            let finding = "\(file) is corrupt at \(place): \(reason). "
            guard isRepairable else {
                return finding
                    + "Nothing was changed. This node may have voted and does not know for whom, so it cannot "
                    + "come back under its old name: replace the member; the others go on while they are a majority"
            }
            return finding + "Nothing was cut: acknowledged entries may be behind it"
        case .unsupportedVersion(let file, let found, let supported):
            return "\(file) has format version \(found); this program reads version \(supported): run the newer program"
        case .foreign(let file, let found, let expected):
            return "\(file) belongs to the data directory with disk id \(found.hexadecimal), this one is "
                + "\(expected.hexadecimal): put back the log that was formatted with this directory"
        case .missing(let directory):
            return "\(directory) holds no log although its data directory is formatted: the log was removed. "
                + "Put it back; a directory that is formatted anew is refused by the other nodes"
        case .failedBefore(let first):
            return "the log stopped after an earlier error and was not tried again: \(first)"
        }
    }
}

extension DiskID {
    /// 32 hexadecimal digits, as in the identity file.
    package var hexadecimal: String { high.hexadecimal + low.hexadecimal }
}

extension UInt64 {
    /// 16 digits.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
