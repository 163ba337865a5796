import ArgumentParser
import MetadataClient
import RaftCore

struct MembersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members",
        abstract: "Lists and changes the nodes that belong to the quorum, and moves leadership.",
        discussion: "docs/operations/members.md has the procedures: grow, shrink, replace a disk, move a node.",
        subcommands: [
            List.self, Add.self, Remove.self, Replace.self, Promote.self, TransferLeadership.self,
        ])

    struct List: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the members as the leader sees them.")

        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let list = try await global.withClient { client in try await client.members() }
            try global.console.print(MembersReport(list))
        }
    }

    struct Add: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds a running node, which was formatted without initial members.",
            discussion: """
                It begins as a learner and votes by itself once it has caught up. The node is asked for its id and its disk. \
                A member that has moved is told so by the same command: it keeps its id and its vote.
                """)

        @Argument(help: ArgumentHelp("Where clients reach the node.", valueName: "host:port"))
        var address: MetadataClient.Endpoint
        @OptionGroup var joining: JoiningOptions
        @Flag(help: "It stays a learner until it is promoted.") var learner = false
        @Flag(help: "Wait until it votes, for --timeout at most.") var wait = false
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let (report, failure) = try await global.withClient { client in
                let member = try await joining.member(at: address, client, global)
                let isPromoted = !learner
                try await client.change(.add(member, isPromoted: isPromoted))
                return await client.report(
                    "added node \(member.id)", awaiting: wait && isPromoted ? member.id : nil, within: global.timeout)
            }
            try global.console.printChange(report, failure)
        }
    }

    struct Remove: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a member, the leader too. Stop and wipe it afterwards.")

        @Argument(help: "The node's id.") var id: NodeID
        @OptionGroup var forcing: ForceOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                try await client.change(.remove(id), isForced: forcing.force)
                return await client.report("removed node \(id)")
            }
            try global.console.print(report)
        }
    }

    struct Replace: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Puts a node with another disk in the place of a member that is lost.",
            discussion: """
                The new node runs already, formatted without initial members: under the same id (a wiped or changed disk), or \
                under an id of its own. Run again after an interruption the command goes on where it stopped.
                """)

        @Argument(help: "The id of the member that is lost.") var id: NodeID
        @Argument(help: ArgumentHelp("Where clients reach the new node.", valueName: "host:port"))
        var address: MetadataClient.Endpoint
        @OptionGroup var joining: JoiningOptions
        @Flag(help: "Wait until the new node votes, for --timeout at most.") var wait = false
        @OptionGroup var forcing: ForceOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let (report, failure) = try await global.withClient { client in
                let member = try await joining.member(at: address, client, global)
                try await client.change(.replace(id, with: member), isForced: forcing.force)
                return await client.report(
                    "node \(member.id) on disk \(member.disk.text) takes the place of node \(id)",
                    awaiting: wait ? member.id : nil, within: global.timeout)
            }
            try global.console.printChange(report, failure)
        }
    }

    struct Promote: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Gives a learner a vote now.")

        @Argument(help: "The node's id.") var id: NodeID
        @OptionGroup var forcing: ForceOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                try await client.change(.promote(id), isForced: forcing.force)
                return await client.report("node \(id) votes")
            }
            try global.console.print(report)
        }
    }

    struct TransferLeadership: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Has another voter lead; writes wait for a moment.")

        @Option(help: ArgumentHelp("Who is to lead. Default: the voter that is furthest.", valueName: "id"))
        var to: NodeID?
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let target = try await handOver(client)
                return await client.report("node \(target) leads")
            }
            try global.console.print(report)
        }

        /// - Returns: who leads now.
        private func handOver(_ client: MetadataClient) async throws -> NodeID {
            var refusal = MembershipRefusal(.memberSilent, "no other voter was heard within an election timeout")
            // The target is named here, so that asking again after a lost answer means the same.
            for target in try await candidates(client) {
                guard let problem = try await client.transferLeadership(to: target) else { return target }
                refusal = problem
                // The leader alone knows who is being repaired; the next one may be whole.
                guard problem.reason == .notCaughtUp else { break }
            }
            throw CommandFailure(refusal)
        }

        /// The furthest first.
        private func candidates(_ client: MetadataClient) async throws -> [NodeID] {
            if let to { return [to] }
            return try await client.members().members
                .filter { $0.role == .voter && !$0.isLeader && $0.isHeard }
                .sorted { $0.match > $1.match }
                .map(\.member.id)
        }
    }
}

/// Of a change that may put the quorum at risk.
struct ForceOptions: ParsableArguments {
    @Flag(
        help: "Also when too few of the voters that would be left are alive: writes then wait for those that are not.")
    var force = false
}

/// Of a node that is to become a member.
struct JoiningOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where other members reach the node. Default: what its settings say.", valueName: "host:port"))
    var peerAddress: MetadataClient.Endpoint?

    /// Asks the node itself who it is, and on which disk.
    func member(
        at address: MetadataClient.Endpoint, _ client: MetadataClient, _ global: GlobalOptions
    ) async throws -> Member {
        var alone = global
        alone.endpoints = EndpointList(items: [address])
        alone.clusterID = try await client.clusterID(within: global.nodeTimeout)
        let answers = try await alone.withClient { node in await node.nodeStatuses(timeout: global.nodeTimeout) }
        guard let answer = answers.first(where: { $0.endpoint == address }) else {
            throw CommandFailure.unavailable(code: "node_unreachable", "\(address) did not answer")
        }
        let status: NodeStatusReport
        do {
            status = try answer.status.get()
        } catch {
            throw CommandFailure.unavailable(
                code: "node_unreachable", "the node at \(address) does not say who it is: \(error.detail)")
        }
        guard let disk = DiskID(text: status.diskID), disk != .unknown else {
            throw CommandFailure.unavailable(
                code: "node_unreachable", "the node at \(address) does not name its disk; it needs a newer build")
        }
        return Member(
            id: NodeID(status.nodeID), disk: disk, peerAddress: try peerAddress(of: status, at: address),
            clientAddress: "\(address)")
    }

    private func peerAddress(
        of status: NodeStatusReport, at address: MetadataClient.Endpoint
    ) throws(CommandFailure) -> String {
        if let peerAddress { return "\(peerAddress)" }
        guard var endpoint = MetadataClient.Endpoint(parsing: status.peerAddress) else {
            throw .usage("the node at \(address) listens on \(status.peerAddress) for members: give --peer-address")
        }
        // It listens on every address; that at which it was reached is one of them.
        if ["0.0.0.0", "::"].contains(endpoint.host) { endpoint.host = address.host }
        return "\(endpoint)"
    }
}

extension MetadataClient {
    fileprivate func change(_ change: MembershipChange, isForced: Bool = false) async throws {
        if let refusal = try await changeMembers(change, isForced: isForced) { throw CommandFailure(refusal) }
    }

    /// The cluster, as one of its nodes names it.
    fileprivate func clusterID(within patience: Duration) async throws -> String {
        for answer in await nodeStatuses(timeout: patience) {
            if case .success(let status) = answer.status { return status.clusterID }
        }
        throw CommandFailure.unavailable(code: "unavailable", "no node of the cluster answers")
    }

    /// What a change that was made has led to. The list is a courtesy: that it cannot be had does not undo the change.
    fileprivate func report(_ message: String) async -> MembersChangedReport {
        do {
            return MembersChangedReport(message: message, members: MembersReport(try await members()))
        } catch {
            return MembersChangedReport(message: "\(message); the members are not known: \(error)", members: nil)
        }
    }

    /// The same, when the node that is waited for votes. The failure says why that is not known.
    fileprivate func report(
        _ message: String, awaiting id: NodeID?, within patience: Duration
    ) async -> (MembersChangedReport, CommandFailure?) {
        var failure: CommandFailure?
        if let id {
            do {
                try await waitUntilVoter(id, within: patience)
            } catch {
                failure = CommandFailure(after: message, error)
            }
        }
        return (await report(message), failure)
    }

    fileprivate func waitUntilVoter(_ id: NodeID, within patience: Duration) async throws {
        let deadline = ContinuousClock.now + patience
        var behind: UInt64 = 0
        while ContinuousClock.now < deadline {
            let list = try await members()
            guard let state = list.members.first(where: { $0.member.id == id }) else {
                throw CommandFailure.notFound(code: "unknown_member", "node \(id) was removed meanwhile")
            }
            if state.role == .voter, !list.isChanging { return }
            behind = list.lastIndex.rawValue - min(list.lastIndex, state.match).rawValue
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CommandFailure(
            status: .unknownOutcome, code: "not_promoted_yet", category: "transient",
            detail: "node \(id) is a learner, \(behind) entries behind; it votes by itself once it has caught up",
            outcome: .indefinite)
    }
}

extension Console {
    /// Prints what a change has led to, also when what should have followed it is not known to have happened.
    fileprivate func printChange(_ report: MembersChangedReport, _ failure: CommandFailure?) throws {
        try print(report)
        if let failure { throw failure }
    }
}

extension CommandFailure {
    init(_ refusal: MembershipRefusal) {
        let category: String
        switch refusal.reason {
        case .changeUnderWay, .leaderNotReady, .quorumAtRisk, .notCaughtUp, .memberAlive, .memberSilent,
            .transferFailed:
            category = "transient"
        case .unknownMember, .anotherDisk, .invalidMember, .tooManyMembers, .lastVoter, .notAVoter:
            category = "invalid_input"
        }
        self.init(
            status: .refused, code: refusal.reason.rawValue, category: category, detail: refusal.detail)
    }
}

extension NodeID: ExpressibleByArgument {
    /// 1 or more.
    public init?(argument: String) {
        guard let id = UInt64(argument), id > 0 else { return nil }
        self.init(id)
    }
}

extension MetadataClient.Endpoint: ExpressibleByArgument {
    /// `host:port`; an IPv6 address stands in brackets.
    public init?(argument: String) { self.init(parsing: argument) }
}
