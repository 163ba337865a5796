/// Why bytes are not a configuration.
public enum ConfigurationDecodingError: Error, Hashable, Sendable {
    /// The first byte names a version that this program does not know.
    case unsupportedVersion(UInt8)
    /// The bytes end in the middle of a field.
    case truncated
    /// Bytes follow the last member.
    case trailingBytes(Int)
    case tooManyMembers(Int)
    case addressTooLong(Int)
    /// An address is not UTF-8.
    case invalidAddress
    /// Ids have to grow strictly.
    case membersOutOfOrder
    /// A member needs a role out of those that are defined, and cannot be voter and learner.
    case invalidRoles(UInt8)
    /// A later version than the content needs: equal configurations have equal bytes.
    case needlessVersion(UInt8)
    /// A learner takes the place of somebody who is no other member.
    case invalidReplacement(NodeID)
}

/// The payload of a configuration entry. All numbers are big-endian.
///
/// ```
/// configuration   version (1 byte, 1 or 2) | member count (2) | member ...
/// member          id (8) | disk high (8) | disk low (8) | roles (1) | [replaces (8)] | address | address
/// roles           1 voter, 2 outgoing voter, 4 learner; at least one, and not voter with learner
///                 8 learner that is promoted, 16 and then takes the place of `replaces`: in version 2 only
/// address         length (2) | UTF-8 bytes          first the peers', then the clients'
/// ```
///
/// Members are ordered by id, which grows strictly, and version 2 is written only where a learner is to be promoted, so that
/// equal configurations have equal bytes and those of before have the bytes they always had.
extension Configuration {
    /// The version that is written when no learner is to be promoted.
    static let encodingVersion: UInt8 = 1
    /// The version that is written when one is.
    static let promotionVersion: UInt8 = 2
    /// Members of a configuration, at most.
    public static let membersMax = 64
    /// Bytes of an address, at most.
    public static let addressBytesMax = 512

    private static let voterRole: UInt8 = 1
    private static let outgoingRole: UInt8 = 2
    private static let learnerRole: UInt8 = 4
    private static let promotedRole: UInt8 = 8
    private static let replacingRole: UInt8 = 16

    /// The bytes of an entry that holds this configuration, which has to be sound: `problem()` is nil.
    public func encoded() -> [UInt8] {
        if let problem = problem() {
            preconditionFailure("a configuration that is not sound cannot be written: \(problem)")
        }
        var bytes: [UInt8] = [promotions.isEmpty ? Self.encodingVersion : Self.promotionVersion]
        bytes.appendBigEndian(UInt16(members.count))
        for member in members {
            bytes.appendBigEndian(member.id.rawValue)
            bytes.appendBigEndian(member.disk.high)
            bytes.appendBigEndian(member.disk.low)
            var roles: UInt8 = 0
            if voters.contains(member.id) { roles |= Self.voterRole }
            if outgoing.contains(member.id) { roles |= Self.outgoingRole }
            if learners.contains(member.id) { roles |= Self.learnerRole }
            let promotion = promotion(of: member.id)
            if promotion != nil { roles |= Self.promotedRole }
            if promotion?.replaces != nil { roles |= Self.replacingRole }
            bytes.append(roles)
            if let replaced = promotion?.replaces { bytes.appendBigEndian(replaced.rawValue) }
            for address in [member.peerAddress, member.clientAddress] {
                bytes.appendBigEndian(UInt16(address.utf8.count))
                bytes.append(contentsOf: address.utf8)
            }
        }
        return bytes
    }

    /// Reads the bytes of `encoded()`. Anything may be in them; nothing is allocated that they do not pay for.
    public init(decoding bytes: [UInt8]) throws(ConfigurationDecodingError) {
        var reader = Reader(bytes: bytes)
        let version = try reader.byte()
        guard version == Self.encodingVersion || version == Self.promotionVersion else {
            throw .unsupportedVersion(version)
        }
        let rolesMax: UInt8 = version == Self.encodingVersion ? 7 : 31
        let count = Int(try reader.integer(UInt16.self))
        guard count <= Self.membersMax else { throw .tooManyMembers(count) }
        var configuration = Configuration.empty
        for _ in 0..<count {
            let id = NodeID(try reader.integer(UInt64.self))
            if let last = configuration.members.last, last.id >= id { throw .membersOutOfOrder }
            let disk = DiskID(high: try reader.integer(UInt64.self), low: try reader.integer(UInt64.self))
            let roles = try reader.byte()
            guard roles <= rolesMax, Self.isSound(roles) else { throw .invalidRoles(roles) }
            if roles & Self.voterRole != 0 { configuration.voters.append(id) }
            if roles & Self.outgoingRole != 0 { configuration.outgoing.append(id) }
            if roles & Self.learnerRole != 0 { configuration.learners.append(id) }
            if roles & Self.promotedRole != 0 {
                let isReplacing = roles & Self.replacingRole != 0
                let replaced = isReplacing ? NodeID(try reader.integer(UInt64.self)) : nil
                configuration.promotions.append(Promotion(learner: id, replaces: replaced))
            }
            let peerAddress = try reader.address()
            let clientAddress = try reader.address()
            configuration.members.append(
                Member(id: id, disk: disk, peerAddress: peerAddress, clientAddress: clientAddress))
        }
        guard reader.rest == 0 else { throw .trailingBytes(reader.rest) }
        guard version == Self.encodingVersion || !configuration.promotions.isEmpty else {
            throw .needlessVersion(version)
        }
        for promotion in configuration.promotions {
            guard let replaced = promotion.replaces else { continue }
            guard replaced != promotion.learner, configuration.member(replaced) != nil else {
                throw .invalidReplacement(replaced)
            }
        }
        self = configuration
    }

    /// Some role of the first three; not voter with learner; promoted only as a learner, replacing only when promoted.
    private static func isSound(_ roles: UInt8) -> Bool {
        func has(_ role: UInt8) -> Bool { roles & role != 0 }
        return has(voterRole | outgoingRole | learnerRole) && !(has(voterRole) && has(learnerRole))
            && (!has(promotedRole) || has(learnerRole)) && (!has(replacingRole) || has(promotedRole))
    }

    /// What is wrong with this configuration; nil when it is sound.
    public func problem() -> String? {
        func isSorted(_ ids: [NodeID]) -> Bool { zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 } }
        guard isSorted(members.map(\.id)) else { return "members are not sorted by id, or one is named twice" }
        guard isSorted(voters), isSorted(outgoing), isSorted(learners) else {
            return "voters or learners are not sorted by id, or one is named twice"
        }
        if members.count > Self.membersMax { return "\(members.count) members are more than \(Self.membersMax)" }
        for member in members {
            if !isVoter(member.id) && !learners.contains(member.id) { return "member \(member.id) has no role" }
            let longest = max(member.peerAddress.utf8.count, member.clientAddress.utf8.count)
            if longest > Self.addressBytesMax {
                return "an address of member \(member.id) has \(longest) bytes, more than \(Self.addressBytesMax)"
            }
        }
        for id in voters + outgoing + learners where member(id) == nil { return "\(id) is no member" }
        for id in learners where voters.contains(id) { return "\(id) is a voter and a learner" }
        return promotionProblem(isSorted)
    }

    private func promotionProblem(_ isSorted: ([NodeID]) -> Bool) -> String? {
        guard isSorted(promotions.map(\.learner)) else {
            return "promotions are not sorted by learner, or one is promoted twice"
        }
        for promotion in promotions {
            if !learners.contains(promotion.learner) { return "\(promotion.learner) is promoted and no learner" }
            guard let replaced = promotion.replaces else { continue }
            if replaced == promotion.learner { return "\(replaced) replaces itself" }
            if member(replaced) == nil { return "\(replaced) is to be replaced and no member" }
        }
        return nil
    }
}

/// Takes bounded fields off the front of bytes.
private struct Reader {
    let bytes: [UInt8]
    var offset = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var rest: Int { bytes.count - offset }

    mutating func byte() throws(ConfigurationDecodingError) -> UInt8 {
        guard rest >= 1 else { throw .truncated }
        offset += 1
        return bytes[offset - 1]
    }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type) throws(ConfigurationDecodingError) -> Value {
        guard rest >= Value.bitWidth / 8 else { throw .truncated }
        var value: Value = 0
        for _ in 0..<Value.bitWidth / 8 { value = value << 8 | Value(try byte()) }
        return value
    }

    mutating func address() throws(ConfigurationDecodingError) -> String {
        let count = Int(try integer(UInt16.self))
        guard count <= Configuration.addressBytesMax else { throw .addressTooLong(count) }
        guard rest >= count else { throw .truncated }
        guard let text = String(validating: bytes[offset..<offset + count], as: UTF8.self) else {
            throw .invalidAddress
        }
        offset += count
        return text
    }
}

extension [UInt8] {
    fileprivate mutating func appendBigEndian<Value: FixedWidthInteger>(_ value: Value) {
        for shift in stride(from: Value.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> Value(shift)))
        }
    }
}
