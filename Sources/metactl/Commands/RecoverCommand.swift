import ArgumentParser
import Foundation
import RaftCore
import RaftLog

struct RecoverCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Makes a new cluster out of one node's data, when a majority of the old one is lost for good.",
        discussion: """
            Works on the data directory of a node that is stopped; no cluster is needed. The node becomes the only voter of a \
            cluster with a new id, which refuses the nodes of the old one. What others acknowledged and this node never heard \
            of is lost: of several survivors take the one with the highest last term, then the highest last index \
            (--dry-run prints both). Read docs/operations/recover.md first.
            """)

    @Argument(help: "The data directory of the surviving node.", completion: .directory) var dataDirectory: String
    @Option(help: "The id of the new cluster; any but the old one.") var newClusterID: String
    @Option(help: "host:port for the other nodes, if it is not what the old cluster knew.") var peerAddress: String?
    @Option(help: "host:port for clients, if it is not what the old cluster knew.") var clientAddress: String?
    @Flag(help: "Print what would be done and lost, and change nothing.") var dryRun = false
    @Flag(help: "Do not ask.") var yes = false
    @Flag(help: "Go on with what can be read of damaged data; the rest is lost.") var acceptDamage = false
    @OptionGroup var global: OutputOptions

    func run() async throws {
        guard NodeIdentity.isValidClusterID(newClusterID) else {
            throw CommandFailure.usage("\(DataDirectoryError.invalidClusterID(newClusterID))")
        }
        let survivor = try Survivor.open(dataDirectory, acceptsDamage: acceptDamage)
        let recovery: Recovery
        do {
            recovery = try plan(survivor)
            try global.console.progress(RecoverReport(recovery).table)
            if dryRun { return try finish(recovery, folder: nil) }
            try confirm()
        } catch {
            try survivor.close()
            throw error
        }
        let folder: String
        do {
            folder = try recovery.run()
        } catch {
            try survivor.close()
            if let failure = error as? CommandFailure { throw failure }
            throw CommandFailure.local("recovery_failed", "\(error). The directory is as it was")
        }
        try finish(recovery, folder: folder)
    }

    private func plan(_ survivor: Survivor) throws -> Recovery {
        let identity = survivor.identity
        guard newClusterID != identity.clusterID else {
            throw CommandFailure.usage(
                "the directory belongs to cluster \(newClusterID) already; the new cluster needs another id, or nodes of the old one would be let in"
            )
        }
        let known = survivor.configuration.member(identity.nodeID)
        guard let peer = peerAddress ?? known?.peerAddress, let client = clientAddress ?? known?.clientAddress else {
            throw CommandFailure.usage(
                "node \(identity.nodeID) is no member of the old cluster, so its addresses are not known: give --peer-address and --client-address"
            )
        }
        var generator = SystemRandomNumberGenerator()
        let disk = DiskID(high: generator.next(), low: generator.next())
        return Recovery(
            survivor: survivor, clusterID: newClusterID, disk: disk,
            member: Member(id: identity.nodeID, disk: disk, peerAddress: peer, clientAddress: client))
    }

    private func confirm() throws {
        if yes { return }
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure.usage("nothing was changed; say --yes to do it")
        }
        try Console.write("Type the new cluster's id to go on:", to: .standardError)
        guard readLine() == newClusterID else { throw CommandFailure.usage("nothing was changed") }
    }

    private func finish(_ recovery: Recovery, folder: String?) throws {
        let report = RecoverReport(recovery, folder: folder)
        try recovery.survivor.close()
        // The table was printed as the plan already.
        if folder != nil || global.output == .json { try global.console.print(report) }
    }
}
