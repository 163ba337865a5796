import Foundation
import Logging
import Testing

@testable import Telemetry

@Suite("Logs that change while the process runs")
struct LogControlTests {
    /// Runs the body with a pipeline into a file, and gives what that file holds afterwards.
    private func text(_ level: Logger.Level = .info, _ body: (LogPipeline, String) throws -> Void) throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let pipeline = try LogPipeline(format: .json, level: level, output: .file(path: path), nodeID: "1")
        try body(pipeline, path)
        #expect(pipeline.writer.flush(timeout: .seconds(30)))
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test("a level that changes is the level of loggers that exist already")
    func level() throws {
        let written = try text { pipeline, _ in
            let logger = pipeline.logger("node")
            logger.debug("first")
            #expect(pipeline.control.set(.debug))
            logger.debug("second")
            #expect(pipeline.control.set(.error))
            logger.warning("third")
        }
        #expect(!written.contains("first") && written.contains("second") && !written.contains("third"))
    }

    @Test("one component is turned up alone, until all are set")
    func component() throws {
        let written = try text { pipeline, _ in
            let node = pipeline.logger("node")
            let raft = node.component("raft")
            #expect(pipeline.control.set(.debug, component: "raft"))
            raft.debug("raft speaks")
            node.debug("node does not")
            #expect(pipeline.control.set(.info))
            raft.debug("raft is quiet")
            #expect(pipeline.control.components == ["node", "raft"])
        }
        #expect(written.contains("\"component\":\"raft\"") && written.contains("raft speaks"))
        #expect(!written.contains("node does not") && !written.contains("raft is quiet"))
    }

    @Test("a component that does not exist is refused, and changes nothing")
    func unknown() throws {
        let written = try text { pipeline, _ in
            let logger = pipeline.logger("raft")
            #expect(!pipeline.control.set(.debug, component: "raft2"))
            logger.debug("quiet")
            #expect(pipeline.control.components == ["raft"])
        }
        #expect(written.isEmpty)
    }

    @Test("components beyond the limit share a level, and take no memory")
    func manyComponents() throws {
        _ = try text { pipeline, _ in
            for number in 0..<(LogControl.componentsMax + 10) { _ = pipeline.logger("c\(number)") }
            #expect(pipeline.control.components.count == LogControl.componentsMax)
            let late = pipeline.logger("late")
            #expect(pipeline.control.set(.trace))
            #expect(late.logLevel == .trace)
        }
    }

    @Test("a logger with a level of its own keeps it")
    func ownLevel() throws {
        let written = try text { pipeline, _ in
            var audit = pipeline.logger("audit")
            audit.logLevel = .info
            #expect(pipeline.control.set(.critical))
            audit.notice("kept")
        }
        #expect(written.contains("kept"))
    }

    @Test("the format changes with the next line")
    func format() throws {
        let written = try text { pipeline, _ in
            let logger = pipeline.logger("x")
            logger.info("one")
            pipeline.control.format = .console
            logger.info("two")
        }
        let lines = written.split(separator: "\n")
        #expect(lines.first?.hasPrefix("{") == true)
        #expect(lines.last?.hasSuffix("INFO     [x] two node_id=1") == true)
    }

    @Test("a file that was moved away is opened anew, and no line is lost")
    func reopen() throws {
        let written = try text { pipeline, path in
            let logger = pipeline.logger("x")
            logger.info("before")
            try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
            try pipeline.writer.reopen()
            #expect(pipeline.writer.flush(timeout: .seconds(30)))
            logger.info("after")
            #expect(pipeline.writer.flush(timeout: .seconds(30)))
            let moved = try String(contentsOfFile: path + ".1", encoding: .utf8)
            try FileManager.default.removeItem(atPath: path + ".1")
            #expect(moved.contains("before") && !moved.contains("after"))
        }
        #expect(written.contains("after") && !written.contains("before"))
    }
}
