import Foundation
import MetadataModel
import MetadataSchema
import MetadataStore
import NIOCore
import RaftCore
import RaftLog
import Wire

/// One layer of a write's or a read's way through a node, run alone and in one thread.
enum BenchLayer: String, CaseIterable {
    /// A client's command to the bytes of its request frame.
    case encode
    /// A request frame to the entry's payload, and the payload to the command that is applied.
    case decode
    /// A batch of entries into a frame for a follower, and out of it.
    case replicate
    /// `RaftNode` of three members, from the proposal of a batch to its being applied by all; the disk is always done.
    case core
    /// A batch of entries into the log on disk, with one sync.
    case append
    /// A batch of entries into the database, in one transaction.
    case apply
    /// A batch of point reads from the database, in one transaction.
    case read
}

/// Runs one layer with the commands of `bench write`.
struct LayerBenchmark {
    /// How many operations share one batch.
    var batch: Int
    /// A folder for the log and the database, empty.
    var folder: String

    private let workload = BenchWorkload(keys: Limits.configsPerResourceMax, valueSize: 256)

    init(batch: Int, folder: String) {
        self.batch = batch
        self.folder = folder
    }

    /// Runs at least `count` operations, in whole batches.
    ///
    /// - Returns: How many they were, and the time that they took, preparations excluded.
    func run(_ layer: BenchLayer, count: Int) throws -> (operations: Int, elapsed: Duration) {
        let batches = (count + batch - 1) / batch
        let elapsed =
            switch layer {
            case .encode: try encode(batches)
            case .decode: try decode(batches)
            case .replicate: try replicate(batches)
            case .core: core(batches)
            case .append: try append(batches)
            case .apply: try apply(batches)
            case .read: try read(batches)
            }
        return (batches * batch, elapsed)
    }

    private func encode(_ batches: Int) throws -> Duration {
        var bytes = 0
        return try ContinuousClock().measure {
            for number in 0..<(batches * batch) {
                var buffer = ByteBuffer()
                try request(number).encode(into: &buffer)
                bytes += buffer.readableBytes
            }
            precondition(bytes > 0 || batches == 0, "a frame without a byte")
        }
    }

    private func decode(_ batches: Int) throws -> Duration {
        // The frames of a few batches, again and again; a body is what follows the length.
        let bodies = try (0..<64).map { number in
            var buffer = ByteBuffer()
            try request(number).encode(into: &buffer)
            _ = buffer.readInteger(as: UInt32.self)
            return buffer
        }
        return try ContinuousClock().measure {
            for number in 0..<(batches * batch) {
                let frame = try ClientRequestFrame(decoding: bodies[number % bodies.count])
                guard case .write(let write) = frame.request else { preconditionFailure("a write is no write") }
                let payload = LogEnvelope(
                    timeMilliseconds: 1, session: write.session, sequence: write.sequence,
                    acknowledgedBelow: write.acknowledgedBelow, commandBytes: write.command
                ).encoded()
                precondition(LogCommand(decoding: payload).command != nil, "an entry is not understood")
            }
        }
    }

    private func replicate(_ batches: Int) throws -> Duration {
        let message = Message(
            from: NodeID(1), to: NodeID(2), term: Term(1),
            kind: .append(
                previous: LogPosition(index: .zero, term: .zero), entries: entries(after: 0, 0), commit: .zero))
        return try ContinuousClock().measure {
            for _ in 0..<batches {
                var buffer = ByteBuffer()
                PeerFrame.messages([message]).encode(into: &buffer)
                _ = buffer.readInteger(as: UInt32.self)
                guard case .messages(let decoded, _) = try PeerFrame(decoding: buffer), decoded == [message] else {
                    preconditionFailure("a frame is not what it was")
                }
            }
        }
    }

    private func core(_ batches: Int) -> Duration {
        var quorum = QuorumInMemory()
        let payloads = entries(after: 0, 0).map(\.payload)
        return ContinuousClock().measure {
            for _ in 0..<batches { quorum.replicate(payloads) }
        }
    }

    private func append(_ batches: Int) throws -> Duration {
        let (log, _) = try SegmentedLog.open(directory: folder, fileSystem: PosixFileSystem())
        defer { log.close() }
        return try ContinuousClock().measure {
            for number in 0..<batches {
                let persist = Persist(
                    sequence: UInt64(number + 1), entries: entries(after: number * batch, 0),
                    hardState: number == 0 ? HardState(term: Term(1), vote: nil) : nil)
                try log.write([persist])
                if number % 256 == 255 { try log.compact(to: log.last) }
            }
        }
    }

    private func apply(_ batches: Int) throws -> Duration {
        let store = try MetadataStore(path: folder + "/bench.db")
        let elapsed = try ContinuousClock().measure {
            for number in 0..<batches {
                _ = try store.apply(entries(after: number * batch, number * batch))
                if number % 256 == 255 { _ = try store.checkpoint() }
            }
        }
        try store.close()
        return elapsed
    }

    private func read(_ batches: Int) throws -> Duration {
        let store = try MetadataStore(path: folder + "/bench.db")
        _ = try store.apply(
            workload.creation.enumerated().map { index, command in entry(UInt64(index + 1), command) })
        let reader = try store.makeReader()
        let elapsed = try ContinuousClock().measure {
            for number in 0..<batches {
                let queries = (0..<batch).map { workload.query(number * batch + $0) }
                let answer = try reader.answer(queries)
                precondition(answer.results.count == queries.count, "a read has no answer")
            }
        }
        try reader.close()
        try store.close()
        return elapsed
    }

    private func request(_ number: Int) -> ClientRequestFrame {
        ClientRequestFrame(
            id: UInt64(number),
            request: .write(
                WriteRequest(
                    session: SessionID(1), sequence: UInt64(number), acknowledgedBelow: 0,
                    command: workload.command(number).schemaBytes(), timeoutMilliseconds: 1_000)))
    }

    /// A batch of entries whose indices begin after `index`, with the commands from number `first` on.
    private func entries(after index: Int, _ first: Int) -> [Entry] {
        (0..<batch).map { entry(UInt64(index + $0 + 1), workload.command(first + $0)) }
    }

    private func entry(_ index: UInt64, _ command: Command) -> Entry {
        let payload = LogEnvelope(
            timeMilliseconds: index, session: nil, sequence: 0, acknowledgedBelow: 0,
            commandBytes: command.schemaBytes()
        ).encoded()
        return Entry(term: Term(1), index: LogIndex(index), kind: .command, payload: payload)
    }
}

/// Three members that hear each other at once, on disks that are done at once.
private struct QuorumInMemory {
    private var members: [RaftNode]
    /// What is on its way, by receiver.
    private var inboxes: [[Message]]

    init() {
        let configuration = RaftCore.Configuration(
            voters: (1...3).map {
                Member(id: NodeID($0), disk: .unknown, peerAddress: "m\($0):1", clientAddress: "m\($0):2")
            })
        let origin = LogPosition(index: .zero, term: .zero)
        members = (1...3).map { id in
            RaftNode(
                id: NodeID(id), options: RaftCore.Options(),
                restored: RestoredState(
                    hardState: HardState(term: .zero, vote: nil), base: origin, entries: [], applied: .zero,
                    configuration: configuration),
                seed: 7)
        }
        inboxes = [[], [], []]
        members[0].campaign()
        settle()
    }

    mutating func replicate(_ payloads: [[UInt8]]) {
        guard case .accepted = members[0].propose(payloads) else { preconditionFailure("a proposal is refused") }
        settle()
        guard members[0].appliedIndex.rawValue % 16_384 < UInt64(payloads.count) else { return }
        for index in members.indices { members[index].compact(to: members[index].appliedIndex) }
    }

    /// Until nobody has anything to say.
    private mutating func settle() {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for index in members.indices {
                let inbox = inboxes[index]
                inboxes[index] = []
                for message in inbox { members[index].step(message) }
                let ready = members[index].takeReady()
                if let persist = ready.persist { members[index].persisted(persist.sequence) }
                if let committed = ready.committed { members[index].applied(to: committed.upperBound.previous) }
                for message in ready.messages { inboxes[Int(message.to.rawValue) - 1].append(message) }
                if !ready.messages.isEmpty || ready.persist != nil { isQuiet = false }
            }
        }
    }
}
