internal import MetadataModel
internal import MetadataSchema
internal import RaftCore

/// What the entries of a run's log say. Every member applies the same ones, and reading them is a large part of a run: each is
/// read once, as long as the members' bytes are the same.
final class CommandCache {
    private var known: IndexTable<(entry: Entry, command: LogCommand)> = .init()

    func command(_ entry: Entry) -> LogCommand {
        if let (known, command) = known[entry.index], known == entry { return command }
        let command = LogCommand(decoding: entry.payload)
        known[entry.index] = (entry, command)
        return command
    }
}
