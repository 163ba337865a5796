import RaftCore

/// The members as the leader sees them.
struct MembersReport: Report, Equatable {
    struct Item: Encodable, Equatable {
        var id: UInt64
        /// `voter`, `leaving` (votes until the change is finished) or `learner`.
        var role: String
        var leader: Bool
        /// Heard within an election timeout.
        var heard: Bool
        /// Log entries that the leader does not know it to hold.
        var behind: UInt64
        /// It votes by itself once it has caught up.
        var promoted: Bool
        /// Whose place it then takes.
        @OrNull var replaces: UInt64?
        var clientAddress: String
        var peerAddress: String
        /// 32 hexadecimal digits; null until the member has introduced itself.
        @OrNull var disk: String?
    }

    var configurationIndex: UInt64
    /// A change is not finished.
    var changing: Bool
    var members: [Item]

    init(_ list: MemberList) {
        configurationIndex = list.configurationIndex.rawValue
        changing = list.isChanging
        members = list.members.map { state in
            Item(
                id: state.member.id.rawValue, role: state.role.rawValue, leader: state.isLeader, heard: state.isHeard,
                behind: list.lastIndex.rawValue - min(list.lastIndex, state.match).rawValue,
                promoted: state.promotion != nil, replaces: state.promotion?.replaces?.rawValue,
                clientAddress: state.member.clientAddress, peerAddress: state.member.peerAddress,
                disk: state.member.disk == .unknown ? nil : state.member.disk.text)
        }
    }

    var table: String {
        var table = Table(["NODE", "ROLE", "HEARD", "BEHIND", "ADDRESS", "PEERS", "DISK", "NOTE"])
        for member in members {
            table.add([
                "\(member.id)", member.role, member.heard ? "yes" : "no", "\(member.behind)", member.clientAddress,
                member.peerAddress, member.disk.map { String($0.prefix(8)) } ?? "", note(member),
            ])
        }
        return changing ? table.text + "\na change is under way" : table.text
    }

    private func note(_ member: Item) -> String {
        if member.leader { return "leads" }
        guard member.promoted else { return "" }
        return "will vote" + (member.replaces.map { " in place of \($0)" } ?? "")
    }
}

/// What a change has led to.
struct MembersChangedReport: Report, Equatable {
    var message: String
    /// Null when they could not be listed.
    @OrNull var members: MembersReport?

    var table: String { ([message] + [members?.table].compactMap(\.self)).joined(separator: "\n") }
}
