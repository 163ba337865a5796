import Simulation

extension Mutant {
    private static let election = "RaftCore/RaftNode+Election.swift"
    private static let node = "RaftCore/RaftNode.swift"
    private static let quorum = "RaftCore/Quorum.swift"

    static let elections = [
        Mutant(
            "vote-before-sync", line: 8, "a vote leaves before it is on the disk (Raft §5.1)",
            .statements(
                election, "sendOnceSynced(.voteResponse(granted: true), to: message.from)",
                "send(.voteResponse(granted: true), to: message.from)")),
        Mutant(
            "candidacy-before-sync", line: 8, "a candidate asks for votes before its own is on the disk",
            .statements(
                election, "sendOnceSynced(.voteRequest(last: log.last, transfer: transfer), to: peer)",
                "send(.voteRequest(last: log.last, transfer: transfer), to: peer)")),
        Mutant(
            "two-votes", line: 8, "two votes in one term (Raft §5.2)",
            .expression(
                election, "guard ⟦hardState.vote == nil⟧, leader == nil, isUpToDate(last)", "true")),
        Mutant(
            "vote-for-a-shorter-log", "a vote for a log that is behind (Raft §5.4.1)",
            .expression(election, "leader == nil, ⟦isUpToDate(last)⟧, !configuration.voters.isEmpty", "true"),
            .expression(election, "!hearsLeader && ⟦isUpToDate(last)⟧ &&", "true")),
        Mutant(
            "no-pre-vote", line: 9, "a cut-off member counts terms up and disturbs at its return (Diss. §9.6)",
            .statements(
                election, "⟦concludePreVote(canvass)⟧\n    }\n\n    private mutating func concludePreVote",
                "startElection(transfer: false)")),
        Mutant(
            "no-stickiness", line: 10,
            "a member that hears its leader votes for another (Diss. §4.2.3; Cloudflare 2020)",
            .expression(election, "guard ⟦transfer || !hearsLeader⟧ else { return }", "true"),
            .expression(election, "message.term > term && ⟦!hearsLeader⟧ && isUpToDate(last)", "true")),
        Mutant(
            "no-check-quorum", line: 10, "a leader that nobody answers stays in office (Diss. §6.2)",
            .expression(
                "RaftCore/RaftNode+Replication.swift",
                "guard ⟦configuration.hasMajority(where: { isHeard($0) })⟧ else {",
                "true")),
        Mutant(
            "transfer-to-who-lags", line: 11,
            "leadership is handed to a member that does not have everything (Diss. §3.10)",
            .expression(
                "RaftCore/RaftNode+Transfer.swift",
                "if ⟦leadership.progress[offset].match == log.lastIndex⟧ { send(.timeoutNow", "true")),
        Mutant(
            "votes-for-the-disk-before-it",
            "a member with an empty disk leads by an old configuration that gave its name a vote (KIP-853)",
            under: [.memberChange, .powerLoss, .transfer],
            .expression(election, "⟦named == .unknown ? !hasJoined : named == disk⟧", "true")),
        Mutant(
            "half-is-a-majority", "half of the voters decide",
            .expression(quorum, "return ⟦count > group.count / 2⟧", "count >= group.count / 2")),
        Mutant(
            "term-not-written", line: 8, "a term that was seen is forgotten by a crash",
            .expression(
                "RaftCore/PersistPipeline.swift", "hardState: ⟦hardState == issuedHardState ? nil : hardState⟧)",
                "hardState.vote == nil || hardState == issuedHardState ? nil : hardState")),
    ]
}
