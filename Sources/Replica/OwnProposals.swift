internal import DequeModule
internal import MetadataModel
internal import OrderedCollections
internal import RaftCore

/// What a leader proposes by itself. A command that is on its way is not proposed twice, and one that finds no room is kept:
/// nobody asks again for it as a client would.
struct OwnProposals {
    private struct InFlight {
        var index: LogIndex
        var command: Command
    }

    /// Not in the log yet, in the order in which they were wanted. None of them is in flight.
    private var waiting: OrderedSet<Command> = []
    /// In the log of this leader's term and not applied yet, by rising index.
    private var inFlight: Deque<InFlight> = []
    private var inFlightCommands: Set<Command> = []

    /// What is to be proposed in this turn.
    var next: [Command] { Array(waiting.prefix(Self.perTurnMax)) }

    /// Nothing waits.
    var isEmpty: Bool { waiting.isEmpty }

    mutating func want(_ command: Command) {
        if !inFlightCommands.contains(command) { waiting.append(command) }
    }

    /// The first `count` of `next` stand in the log from `first` on.
    mutating func proposed(_ count: Int, first: LogIndex) {
        precondition(count <= waiting.count, "\(count) of \(waiting.count) commands were proposed")
        for (offset, command) in waiting.prefix(count).enumerated() {
            inFlight.append(InFlight(index: first.advanced(by: offset), command: command))
            inFlightCommands.insert(command)
        }
        waiting.removeFirst(count)
    }

    /// Takes out what was applied, in order.
    mutating func applied(through index: LogIndex) -> [(index: LogIndex, command: Command)] {
        var commands: [(index: LogIndex, command: Command)] = []
        while let first = inFlight.first, first.index <= index {
            commands.append((first.index, first.command))
            inFlightCommands.remove(first.command)
            inFlight.removeFirst()
        }
        return commands
    }

    /// Leadership was lost.
    mutating func abandon() { self = OwnProposals() }

    /// Each is encoded again in every turn until there is room.
    static let perTurnMax = 1_000
}
