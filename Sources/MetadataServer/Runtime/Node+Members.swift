import Logging
import NIOCore
import OrderedCollections
import RaftCore
import Replica
import Wire

/// Who belongs to the cluster: links that come and go with the configuration in effect, and what operators are told of it.
extension Node {
    /// Links lead to whom the replica wants to call, and to nobody else.
    func reconcileLinks() {
        let wanted = replica.peersToCall(callers.values.lazy.map(PeerCaller.init))
        linksToStop = OrderedSet(links.keys.filter { id in !wanted.contains { $0.id == id } })
        for member in wanted {
            if let link = links[member.id] {
                link.update(member)
            } else {
                let link = PeerLink(peer: member, node: self, logger: loggers.peers)
                links[member.id] = link
                link.start()
            }
        }
        if !linksToStop.isEmpty { endTurnSoon() }
    }

    func configurationChanged(_ configuration: Configuration) {
        func list(_ ids: [NodeID]) -> Logger.MetadataValue { .string(ids.map(\.description).joined(separator: ",")) }
        loggers.raft.notice(
            configuration.isJoint ? "members are changing" : "members",
            metadata: [
                "log_index": "\(replica.core.configurationIndex)", "voters": list(configuration.voters),
                "outgoing": list(configuration.outgoing), "learners": list(configuration.learners),
            ])
        reconcileLinks()
    }

    /// Why this node takes no part; nil when it does.
    var absence: String? {
        let configuration = replica.core.configuration
        if configuration.voters.isEmpty {
            return "waits to be added to cluster \(settings.clusterID): metactl members add \(settings.clientAddress)"
        }
        if configuration.member(settings.id) == nil {
            return replica.status.leader == nil
                ? "node \(settings.id) is not a member of cluster \(settings.clusterID)"
                : "catching up: the log does not say yet that node \(settings.id) is a member"
        }
        guard replica.status.leader == nil, let exclusion else { return nil }
        return exclusion.detail
    }

    var memberList: MemberList {
        MemberList(
            configurationIndex: replica.core.configurationIndex, lastIndex: replica.core.lastIndex,
            isChanging: !replica.core.isConfigurationSettled, members: replica.memberStates)
    }

    func response(to reply: MembershipReply) -> ClientResponse {
        switch reply {
        case .done:
            return .members(memberList)
        case .refused(let refusal):
            return .membershipRefused(refusal)
        case .notLeader(let leader):
            return .failure(notLeader(leader))
        case .leadershipLost(let leader):
            return .failure(
                ServiceFailure(
                    code: .leadershipLost,
                    detail: "node \(settings.id) stopped leading while the change was under way; the next leader "
                        + "finishes what stands in its log",
                    isDefinite: false, leader: leaderHint(leader)))
        }
    }
}

extension PeerCaller {
    fileprivate init(_ hello: PeerHello) {
        self.init(
            id: hello.node, disk: hello.disk, configurationIndex: hello.configurationIndex,
            peerAddress: hello.peerAddress)
    }
}
