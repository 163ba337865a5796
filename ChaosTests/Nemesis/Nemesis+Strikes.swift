import Foundation
import MetadataClient
import MetadataModel
import RaftCore

/// Each fault from its beginning to its end, with what shows that it happened.
extension Nemesis {
    func strike(_ fault: Fault, lasting lasts: Duration, _ record: inout FaultRecord) async throws {
        switch fault {
        case .kill(let target): try await kill(target, lasts, &record, losesPower: false)
        case .losePower(let target): try await kill(target, lasts, &record, losesPower: true)
        case .pause(let target): try await pause(target, lasts, &record)
        case .cut(let shape, let passage): try await cut(shape, passage, lasts, every: nil, &record)
        case .flap(let shape, let milliseconds):
            try await cut(shape, .silent, lasts, every: .milliseconds(milliseconds), &record)
        case .degrade(let condition): try await degrade(condition, lasts, &record)
        case .slowSyncs(let target, let milliseconds):
            try await disturb(.delaySyncs, milliseconds, .delayed, target, lasts, &record)
        case .hangSyncs(let target): try await disturb(.hangSyncs, 1, .hung, target, lasts, &record)
        case .failSyncs(let target): try await disturb(.failSyncsFrom, 1, .failed, target, lasts, &record)
        case .fillDisk(let target): try await disturb(.fullFrom, 1, .refused, target, lasts, &record)
        case .ignoreSyncs(let target): try await disturb(.ignoreSyncs, 1, .ignored, target, lasts, &record)
        case .jumpClock(let target, let milliseconds):
            try await disturb(.wallClock, milliseconds, .clockReads, target, lasts, &record)
        case .starveProcessors: try await starve(lasts, &record)
        case .limitMemory(let target): try await limit(.memory, target, lasts, &record)
        case .takeDescriptors(let target): try await limit(.descriptors, target, lasts, &record)
        case .transferLeadership: try await transfer(&record)
        case .changeMembers: try await changeMembers(lasts, &record)
        case .restartEach: try await restartEach(&record)
        case .silenceBrokers: try await silenceBrokers(lasts, &record)
        }
    }

    // MARK: Processes

    private func kill(
        _ target: Fault.Target, _ lasts: Duration, _ record: inout FaultRecord, losesPower: Bool
    ) async throws {
        record.nodes = try await nodes(target)
        let before = monitor.latest
        begins(&record)
        for id in record.nodes {
            guard await cluster.processID(of: id) != nil else { continue }
            try await cluster.kill(id)
        }
        record.evidence = "nodes \(record.nodes) ended by SIGKILL"
        if losesPower {
            let library = try needLibrary()
            for id in record.nodes {
                let seed = UInt64(draw(below: 1 << 30))
                // A kernel writes back what it likes; a disk that lies keeps nothing.
                let surviving = try library.count(.ignored, on: id) > 0 ? 0 : 0.3
                let loss = try await onOwnThread {
                    try library.losePower(id, surviving: surviving, seed: seed)
                }
                record.evidence += "; node \(id) lost \(loss.blocks) blocks of \(loss.files.count) files"
            }
        }
        let killed = record.nodes
        if let former = before?.leader, killed.contains(former.id), killed.count < members.count {
            let after = try await monitor.wait(for: "another leader than node \(former.id)", within: .seconds(15)) {
                $0.leader.map { $0.term > former.term && !killed.contains($0.id) } ?? false
            }
            if let leader = after.leader {
                record.evidence +=
                    "; node \(former.id) led in term \(former.term), now node \(leader.id) in term \(leader.term)"
            }
        }
        let passed = RunTime.since(record.began, clock)
        if passed < lasts { await last(lasts - passed) }
        for id in record.nodes { try await restart(id) }
        ends(&record)
    }

    private func pause(_ target: Fault.Target, _ lasts: Duration, _ record: inout FaultRecord) async throws {
        record.nodes = try await nodes(target)
        begins(&record)
        for id in record.nodes { await cluster.pause(id) }
        await last(lasts / 2)
        var states: [String] = []
        for id in record.nodes {
            let process = try await processID(of: id)
            let state = ProcessReading(process)?.state
            states.append("node \(id) is in state \(state.map(String.init) ?? "?")")
        }
        let isStopped = states.allSatisfy { $0.hasSuffix("T") }
        await last(lasts / 2)
        for id in record.nodes { await cluster.resume(id) }
        ends(&record)
        record.evidence = states.joined(separator: ", ")
        guard isStopped else { throw FaultFailure(description: "did not stop: \(record.evidence)") }
    }

    private func restartEach(_ record: inout FaultRecord) async throws {
        begins(&record)
        // The leader last, so that it is stopped as leader.
        let order = try await nodes(.followers) + nodes(.leader)
        record.nodes = order
        for id in order {
            let former = try await processID(of: id)
            await cluster.beginTermination(id)
            let code = try await cluster.waitForEnd(of: id)
            guard code == 0 else { throw FaultFailure(description: "node \(id) ended with \(code)") }
            try await restart(id)
            _ = try await monitor.wait(for: "node \(id) back", within: .seconds(30)) { sample in
                sample.nodes.contains { $0.id == id && $0.isHealthy }
            }
            let successor = try await processID(of: id)
            record.evidence += "node \(id): process \(former), then \(successor). "
        }
        ends(&record)
    }

    // MARK: The network

    private func cut(
        _ shape: Fault.Shape, _ passage: LinkCondition.Passage, _ lasts: Duration, every period: Duration?,
        _ record: inout FaultRecord
    ) async throws {
        let partition = try await self.partition(shape)
        let links = partition.links(of: members)
        record.nodes = Set(links.flatMap { [$0.from, $0.to] }).sorted()
        let before = try await cluster.network.strikes()
        let conditions = Dictionary(uniqueKeysWithValues: links.map { ($0, LinkCondition(passage: passage)) })
        let number = await self.links.nextNumber()
        begins(&record)
        try await self.links.set(conditions, of: number)
        if let period {
            let end = ContinuousClock.now + lasts
            var isCut = true
            while ContinuousClock.now + period < end {
                await last(period)
                isCut.toggle()
                try await self.links.set(isCut ? conditions : [:], of: number)
                // A task that was cancelled does not wait any more.
                if Task.isCancelled { break }
            }
        }
        let passed = RunTime.since(record.began, clock)
        if passed < lasts { await last(lasts - passed) }
        let after = try await cluster.network.strikes()
        try await self.links.set([:], of: number)
        ends(&record)
        try prove(links, before, after, "\(partition)", &record)
    }

    private func degrade(_ condition: LinkCondition, _ lasts: Duration, _ record: inout FaultRecord) async throws {
        let links = Link.all(members)
        record.nodes = members
        let before = try await cluster.network.strikes()
        let number = await self.links.nextNumber()
        begins(&record)
        try await self.links.set(Dictionary(uniqueKeysWithValues: links.map { ($0, condition) }), of: number)
        await last(lasts)
        let after = try await cluster.network.strikes()
        try await self.links.set([:], of: number)
        ends(&record)
        try prove(links, before, after, "\(condition)", &record)
    }

    private func prove(
        _ links: [Link], _ before: [Link: Int], _ after: [Link: Int], _ what: String, _ record: inout FaultRecord
    ) throws {
        let struck = links.map { ($0, (after[$0] ?? 0) - (before[$0] ?? 0)) }.filter { $0.1 > 0 }
        let counts = struck.map { "\($0.0): \($0.1)" }.joined(separator: ", ")
        record.evidence = "\(what); held back, dropped or delayed: \(counts.isEmpty ? "nothing" : counts)"
        guard !struck.isEmpty else { throw FaultFailure(description: "nothing was struck on \(links)") }
    }

    // MARK: Disks and clocks

    private func disturb(
        _ fault: FaultLibrary.Fault, _ value: Int, _ strikes: FaultLibrary.Strikes, _ target: Fault.Target,
        _ lasts: Duration, _ record: inout FaultRecord
    ) async throws {
        let library = try needLibrary()
        record.nodes = try await nodes(target)
        let before = try record.nodes.map { try library.count(strikes, on: $0) }
        begins(&record)
        for id in record.nodes { try library.set(fault, to: value, on: id) }
        await last(lasts)
        // What is planted stays until the power is lost.
        if fault != .ignoreSyncs { for id in record.nodes { try library.set(fault, to: 0, on: id) } }
        ends(&record)
        for (id, count) in zip(record.nodes, before) {
            let struck = try library.count(strikes, on: id) - count
            record.evidence += "node \(id): \(struck) \(strikes). "
            guard struck > 0 else { throw FaultFailure(description: "nothing was struck on node \(id)") }
        }
        guard fault == .failSyncsFrom else { return }
        // A failed sync ends the node, with the reason.
        for id in record.nodes {
            let code = try await cluster.waitForEnd(of: id)
            record.evidence += "node \(id) ended with \(code). "
            guard code == 70 else { throw FaultFailure(description: "node \(id) ended with \(code), not with 70") }
            try await restart(id)
        }
    }

    // MARK: Resources

    private func starve(_ lasts: Duration, _ record: inout FaultRecord) async throws {
        record.nodes = members
        func waited() async -> UInt64 {
            var sum: UInt64 = 0
            for id in members {
                guard let process = await cluster.processID(of: id) else { continue }
                sum += ProcessReading(process)?.waitedForProcessor ?? 0
            }
            return sum
        }
        let before = await waited()
        begins(&record)
        let busy = try BusyProcesses(count: 4 * ProcessInfo.processInfo.activeProcessorCount)
        await last(lasts)
        let after = await waited()
        busy.end()
        ends(&record)
        let time = Duration.nanoseconds(Int64(after) - Int64(before))
        record.evidence = "the nodes' threads waited \(time.milliseconds) ms for a processor"
        guard time > lasts / 20 else { throw FaultFailure(description: "nobody starved: \(record.evidence)") }
    }

    private enum Resource {
        case memory
        case descriptors

        var option: String {
            switch self {
            case .memory: "--as"
            case .descriptors: "--nofile"
            }
        }

        /// In `/proc/PID/limits`.
        var name: String {
            switch self {
            case .memory: "Max address space"
            case .descriptors: "Max open files"
            }
        }
    }

    /// The node lives on or ends; if it ends it is started again.
    private func limit(
        _ resource: Resource, _ target: Fault.Target, _ lasts: Duration, _ record: inout FaultRecord
    ) async throws {
        record.nodes = try await nodes(target)
        let id = record.nodes[0]
        let process = try await processID(of: id)
        guard let former = ProcessReading(process) else {
            throw FaultFailure(description: "nothing is known of process \(process)")
        }
        let before = ProcessReading.limit(resource.name, of: process)
        // The first three are taken, so that no number is free.
        let value = resource == .memory ? former.virtualBytes : 3
        begins(&record)
        try await setLimit(resource, "\(value)", of: process)
        // Waits until the node has a descriptor for it, and is answered then.
        let page = Task { [cluster] in try await cluster.get(id, "/health/live").status }
        await last(lasts)
        var isAnswering: Bool?
        if resource == .descriptors { isAnswering = await takesConnections(id) }
        let during = ProcessReading.limit(resource.name, of: process)
        let isAlive = try await lift(resource, to: before.map { "\($0)" } ?? "unlimited", of: process, node: id)
        ends(&record)
        let livesOn = try await isAlive ? self.livesOn(id) : false
        record.evidence =
            "node \(id): \(resource.name.lowercased()) \(during.map(String.init) ?? "?") of \(value); "
            + (livesOn ? "it lived on" : isAlive ? "it ended soon after" : "it ended")
            + (isAnswering == false ? ", and took no connection" : "")
        if resource == .descriptors, !livesOn { record.evidence += try await endWithoutDescriptors(id) }
        try await restart(id)
        guard !isAlive || (during == value && isAnswering != true) else {
            throw FaultFailure(description: "the limit was not in force: \(record.evidence)")
        }
        guard resource == .descriptors, livesOn else { return page.cancel() }
        guard try await page.value == 200 else {
            throw FaultFailure(description: "node \(id) did not answer who asked for its health meanwhile")
        }
    }

    private func takesConnections(_ id: Int) async -> Bool {
        let endpoint = await cluster.endpoint(of: id)
        do {
            return try await onOwnThread {
                _ = try DirectReader(endpoint, patience: .milliseconds(300))
                return true
            }
        } catch {
            return false
        }
    }

    /// Returns whether the process lives: what it lacks may end it at any moment.
    private func lift(_ resource: Resource, to value: String, of process: pid_t, node: Int) async throws -> Bool {
        guard await cluster.processID(of: node) != nil else { return false }
        do {
            try await setLimit(resource, value, of: process)
            return true
        } catch {
            try await Task.sleep(for: .seconds(1))
            guard await cluster.processID(of: node) == nil else { throw error }
            return false
        }
    }

    /// Waits until the node is well, or has ended: one that gave up under the limit may take longer for its end than the limit
    /// lasts, and is to be started again behind it.
    private func livesOn(_ id: Int) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(30)
        while await cluster.processID(of: id) != nil {
            // It may be gone before it answers.
            if let page = try? await cluster.get(id, "/health/live"), page.status == 200 { return true }
            guard ContinuousClock.now < deadline else {
                throw FaultFailure(description: "node \(id) neither gets well nor ends")
            }
            await last(.milliseconds(50))
        }
        return false
    }

    /// Its log could not do without a file, and it ended with the reason. Or libdispatch ended it: where work waits for one of its
    /// threads it looks at them in `/proc`, and traps when it cannot. That is in a library; a trap in the program is none of this.
    private func endWithoutDescriptors(_ id: Int) async throws -> String {
        do {
            let code = try await cluster.waitForEnd(of: id)
            guard code == 70 else { throw FaultFailure(description: "node \(id) ended with \(code), not with 70") }
            return ""
        } catch let failure as LocalCluster.HarnessFailure {
            guard failure.description.contains("Signal 4: Backtracing from 0x7f") else { throw failure }
            return ", by libdispatch"
        }
    }

    /// The soft limit; the hard one stays, so that it can be lifted again.
    private func setLimit(_ resource: Resource, _ value: String, of process: pid_t) async throws {
        let option = "\(resource.option)=\(value):"
        let status = try await onOwnThread { try runToEnd("/usr/bin/prlimit", ["--pid", "\(process)", option]).status }
        guard status == 0 else { throw FaultFailure(description: "prlimit \(option) ended with \(status)") }
    }
}

/// Time that has passed in a run.
enum RunTime {
    static func since(_ begin: UInt64, _ clock: RunClock) -> Duration { .nanoseconds(Int64(clock.now - begin)) }
}
