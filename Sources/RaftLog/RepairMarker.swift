/// Says on disk that a member's log or database is damaged, and how far its repair has come: a file of the data directory that
/// is there from the finding of the damage until the member holds again whatever it may have acknowledged.
///
/// It is text, one field a line, with a CRC-32 of all lines before the last:
///
/// ```
/// streambus-metadata repair
/// format 1
/// phase discard
/// members 0100010000000000000001…
/// reason log/00000000000000000001.log is corrupt at offset 4196, record 12: the record does not match its checksum
/// checksum 0f6c9a11
/// ```
package struct RepairMarker: Hashable, Sendable {
    package enum Phase: String, Hashable, Sendable {
        /// What is damaged lies in its place, or a part of it. Exits: `catchUp` when log and database were moved away and the
        /// log was begun anew.
        case discard
        /// The log is sound and may lack what this member acknowledged before: it takes no part in elections. Exits: the marker
        /// is removed when it has caught up; `discard` when damage is found again.
        case catchUp = "catch-up"
    }

    package var phase: Phase
    /// `Configuration.encoded()` of the last members that were known; empty when none were.
    package var members: [UInt8]
    /// What was found, in one line.
    package var reason: String

    package init(phase: Phase, members: [UInt8], reason: String) {
        self.phase = phase
        self.members = members
        self.reason = String(reason.map { $0.isNewline ? " " : $0 }.prefix(Self.reasonCharactersMax))
    }

    static let fileName = "repair"
    /// A larger file is not read.
    static let fileBytesMax = 256 << 10
    private static let title = "streambus-metadata repair"
    private static let reasonCharactersMax = 1_000

    func encoded() -> String {
        let hexadecimal = members.map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }
        let lines = """
            \(Self.title)
            format 1
            phase \(phase.rawValue)
            members \(hexadecimal.joined())
            reason \(reason)

            """
        return lines + "checksum \(Checksum.text(of: lines))\n"
    }

    /// A marker that cannot be read still says that there was one: everything is discarded once more, which is never wrong.
    init(reading text: String) {
        self = Self.parse(text) ?? RepairMarker(phase: .discard, members: [], reason: "the repair marker was damaged")
    }

    private static func parse(_ text: String) -> RepairMarker? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 7, lines[6].isEmpty, lines[0] == title, lines[1] == "format 1",
            lines[5] == "checksum \(Checksum.text(of: lines[..<5].map { $0 + "\n" }.joined()))",
            let phase = value(lines[2], "phase").flatMap({ Phase(rawValue: String($0)) }),
            let members = value(lines[3], "members").flatMap(bytes), let reason = value(lines[4], "reason")
        else { return nil }
        return RepairMarker(phase: phase, members: members, reason: String(reason))
    }

    private static func value(_ line: Substring, _ name: String) -> Substring? {
        line.hasPrefix(name + " ") ? line.dropFirst(name.count + 1) : nil
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count % 2 == 0 else { return nil }
        var rest = text
        var bytes: [UInt8] = []
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
