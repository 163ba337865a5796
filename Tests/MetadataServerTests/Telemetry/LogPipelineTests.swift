import Dispatch
import Foundation
import Logging
import Telemetry
import Testing

@Suite("Log pipeline")
struct LogPipelineTests {
    /// Runs the body with a pipeline into a file, and gives the lines that it wrote.
    private func lines(
        _ format: LogFormat, level: Logger.Level = .info, nodeID: String? = "1", pendingBytesMax: Int = 1 << 20,
        _ body: (LogPipeline) throws -> Void
    ) throws -> [String] {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let pipeline = try LogPipeline(
            format: format, level: level, output: .file(path: path), nodeID: nodeID, pendingBytesMax: pendingBytesMax)
        try body(pipeline)
        #expect(pipeline.writer.flush(timeout: .seconds(30)))
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        return text.split(separator: "\n").map(String.init)
    }

    private func object(_ line: String) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test("a JSON line is one object with the known keys first, then metadata with its types")
    func json() throws {
        let written = try lines(.json) { pipeline in
            var logger = pipeline.logger("raft")
            logger[metadataKey: "term"] = .stringConvertible(7)
            logger.info(
                "became \"leader\"\nof all",
                metadata: [
                    "ready": .stringConvertible(true), "peers": .array(["2", "3"]),
                    "address": .dictionary(["host": "::1"]), "lag": .stringConvertible(0.5),
                ])
        }
        #expect(written.count == 1)
        let line = try #require(written.first)
        #expect(line.hasPrefix("{\"timestamp\":\"2"))
        let tail = try #require(line.range(of: "\"level\"")).lowerBound
        #expect(
            line[tail...] == #"""
                "level":"info","message":"became \"leader\"\nof all","component":"raft","node_id":"1",\#
                "address":{"host":"::1"},"lag":0.5,"peers":["2","3"],"ready":true,"term":7}
                """#)
        _ = try object(line)
    }

    @Test("the timestamp is RFC 3339 in UTC with microseconds, and now")
    func timestamp() throws {
        let before = Date()
        let line = try #require(try lines(.json) { $0.logger("x").info("now") }.first)
        let text = try #require(object(line)["timestamp"] as? String)
        #expect(text.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil)
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        let parsed = try #require(formatter.date(from: text))
        #expect(abs(parsed.timeIntervalSince(before)) < 60)
    }

    @Test("metadata cannot take over a known key")
    func reservedKeys() throws {
        let line = try #require(
            try lines(.json) { $0.logger("x").info("true", metadata: ["message": "false", "level": "none"]) }.first)
        let fields = try object(line)
        #expect(fields["message"] as? String == "true")
        #expect(fields["metadata_message"] as? String == "false")
        #expect(fields["metadata_level"] as? String == "none")
    }

    @Test("control characters and other scripts survive JSON unchanged")
    func controlCharacters() throws {
        let message = "tab\t nul\u{0} escape\u{1B} delete\u{7F} é 雪 🦉 \\"
        let line = try #require(try lines(.json) { $0.logger("x").info("\(message)") }.first)
        #expect(try object(line)["message"] as? String == message)
    }

    @Test("a console line is one line, whatever the message holds")
    func console() throws {
        let written = try lines(.console, nodeID: nil) {
            $0.logger("store").warning("disk\nfull\u{1B}", metadata: ["path": "/a b", "free": "0"])
        }
        #expect(written.count == 1)
        #expect(written.first?.hasSuffix("WARNING  [store] disk\\nfull\\u001b free=0 path=\"/a b\"") == true)
    }

    @Test("events below the level are not written")
    func level() throws {
        let written = try lines(.console, level: .warning) { pipeline in
            pipeline.logger("x").info("no")
            pipeline.logger("x").error("yes")
        }
        #expect(written.count == 1)
        #expect(written.first?.contains("yes") == true)
    }

    @Test("a long text is cut")
    func longText() throws {
        let line = try #require(
            try lines(.json) { $0.logger("x").info("\(String(repeating: "é", count: 20_000))") }.first)
        let message = try #require(object(line)["message"] as? String)
        #expect(message.utf8.count < 8_200)
        #expect(message.hasSuffix("…"))
    }

    @Test("lines from many threads are whole, and none is lost")
    func concurrency() throws {
        let written = try lines(.json) { pipeline in
            DispatchQueue.concurrentPerform(iterations: 8) { thread in
                let logger = pipeline.logger("thread\(thread)")
                for number in 0..<200 { logger.info("\(number)") }
            }
        }
        #expect(written.count == 1_600)
        for line in written { _ = try object(line) }
        for thread in 0..<8 {
            let ofThread = try written.map(object).filter { $0["component"] as? String == "thread\(thread)" }
            #expect(ofThread.compactMap { $0["message"] as? String } == (0..<200).map(String.init))
        }
    }

    @Test("what does not fit while the output is stuck is dropped, counted and reported, and nobody waits")
    func overload() throws {
        // A pipe that nobody reads holds some 64 KiB; then the writer is stuck.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("pipe").path
        #expect(mkfifo(path, 0o600) == 0)
        // Open for both, so that opening for writing does not wait.
        let reader = open(path, O_RDWR | O_NONBLOCK)
        #expect(reader >= 0)
        defer { close(reader) }
        let pipeline = try LogPipeline(
            format: .console, level: .info, output: .file(path: path), pendingBytesMax: 100_000)
        let logger = pipeline.logger("flood")
        let total = 5_000
        for number in 0..<total { logger.info("\(number) \(String(repeating: "x", count: 100))") }
        let droppedWhileStuck = pipeline.writer.droppedTotal
        #expect(droppedWhileStuck > 0)
        #expect(!pipeline.writer.flush(timeout: .milliseconds(1)))

        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let deadline = DispatchTime.now() + .seconds(30)
        while !received.ends("were dropped dropped=\(droppedWhileStuck)\n"), DispatchTime.now() < deadline {
            let count = read(reader, &chunk, chunk.count)
            if count > 0 { received += chunk[..<count] } else { _ = pipeline.writer.flush(timeout: .milliseconds(10)) }
        }
        let lines = String(decoding: received, as: UTF8.self).split(separator: "\n")
        #expect(lines.last?.contains("[log] log events were dropped dropped=\(droppedWhileStuck)") == true)
        #expect(lines.count - 1 + Int(droppedWhileStuck) == total)
    }

    @Test("what was logged before a trap is written")
    func trap() async throws {
        func path(_ process: pid_t) -> String { NSTemporaryDirectory() + "trap-\(process).log" }
        let result = await #expect(processExitsWith: .failure) {
            let pipeline = try LogPipeline(
                format: .json, level: .info, output: .file(path: NSTemporaryDirectory() + "trap-\(getppid()).log"))
            pipeline.writer.writeOnTrap()
            let logger = pipeline.logger("x")
            for number in 0..<1_000 { logger.info("\(number)") }
            preconditionFailure("found a mistake of ours")
        }
        #expect(result != nil)
        defer { try? FileManager.default.removeItem(atPath: path(getpid())) }
        let text = try String(contentsOfFile: path(getpid()), encoding: .utf8)
        #expect(text.split(separator: "\n").count == 1_000)
    }

    @Test("a log file that cannot be opened is an error that names it")
    func missingFolder() throws {
        let error = #expect(throws: LogOutputError.self) {
            _ = try LogPipeline(format: .json, level: .info, output: .file(path: "/nowhere/at/all.log"))
        }
        #expect(error?.description == "cannot open the log file /nowhere/at/all.log: No such file or directory")
    }

    @Test("a new log file is readable by its owner alone")
    func fileMode() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try LogPipeline(format: .json, level: .info, output: .file(path: path))
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test(
        "outputs are read as written in the settings",
        arguments: [
            ("stdout", LogOutput.standardOutput), ("stderr", .standardError), ("file:/a", .file(path: "/a")),
            ("file:", nil), ("", nil), ("syslog", nil),
        ] as [(String, LogOutput?)])
    func outputs(text: String, expected: LogOutput?) {
        #expect(LogOutput(text) == expected)
    }
}

extension [UInt8] {
    fileprivate func ends(_ text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}
