internal import RaftCore
internal import Replica

/// A connection that one member dialled to another; it is one-way, as on the wire.
struct Connection: Hashable {
    var from: NodeID
    var to: NodeID
    /// Grows with each dial, so that what is under way when a connection breaks is lost with it.
    var number: UInt64
}

/// The paths between members, and what is wrong with them.
struct SimulatedNetwork {
    struct Path {
        /// Nil while there is no connection.
        var connection: Connection?
        /// What the listening side was told of who dialled.
        var caller: PeerCaller?
        /// When the next dial comes; one that was planned for another moment is off.
        var dialAt: UInt64?
        /// Between two attempts.
        var pauseMicroseconds = SimulatedNetwork.pauseMin
        var isCut = false
        /// Counts the times that `isCut` changed.
        var cuts: UInt64 = 0
        /// Added to each delay.
        var extraMicroseconds: UInt64 = 0
        /// Messages that keep their order arrive no earlier than this.
        var lastArrival: UInt64 = 0
    }

    /// As in the shipped links: between two attempts to dial, how long a dial takes at most, and how long nothing may be
    /// acknowledged.
    static let pauseMin: UInt64 = 20_000
    static let pauseMax: UInt64 = 500_000
    static let silenceMax: UInt64 = 2_000_000
    /// After the peer said that it does not listen.
    static let refusalPause: UInt64 = 5_000_000

    let size: Int
    private var paths: [Path]
    private var lastConnection: UInt64 = 0
    private var generator: SeededGenerator

    init(size: Int, seed: UInt64) {
        self.size = size
        paths = Array(repeating: Path(), count: size * size)
        generator = SeededGenerator(seed: seed, stream: 0x4E45)
    }

    subscript(from: NodeID, to: NodeID) -> Path {
        get { paths[place(from, to)] }
        _modify { yield &paths[place(from, to)] }
    }

    private func place(_ from: NodeID, _ to: NodeID) -> Int {
        Int(from.rawValue - 1) * size + Int(to.rawValue - 1)
    }

    mutating func draw(_ low: Int, _ high: Int) -> UInt64 { UInt64(low + generator.below(high - low + 1)) }

    mutating func connect(_ caller: PeerCaller, to: NodeID) {
        lastConnection += 1
        self[caller.id, to].connection = Connection(from: caller.id, to: to, number: lastConnection)
        self[caller.id, to].caller = caller
        self[caller.id, to].pauseMicroseconds = SimulatedNetwork.pauseMin
        self[caller.id, to].lastArrival = 0
    }

    /// Whether two members can shake hands.
    func isOpen(_ one: NodeID, _ other: NodeID) -> Bool { !self[one, other].isCut && !self[other, one].isCut }

    /// Returns true when that changed something.
    mutating func setCut(_ from: NodeID, _ to: NodeID, _ isCut: Bool) -> Bool {
        guard self[from, to].isCut != isCut else { return false }
        self[from, to].isCut = isCut
        self[from, to].cuts += 1
        return true
    }

    /// When a message that leaves at `now` arrives.
    mutating func arrival(_ from: NodeID, _ to: NodeID, now: UInt64, delayMax: Int, keepsOrder: Bool) -> UInt64 {
        let place = place(from, to)
        var time = now + draw(50, max(50, delayMax)) + paths[place].extraMicroseconds
        if keepsOrder {
            time = max(time, paths[place].lastArrival)
            paths[place].lastArrival = time
        }
        return time
    }
}
