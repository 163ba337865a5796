import MetadataClient
import MetadataModel
import Testing

@testable import metactl

@Suite("Failures")
struct FailureTests {
    private func error(
        _ code: MetadataError.Code, _ outcome: MetadataError.Outcome, refusal: Refusal? = nil
    ) -> MetadataError {
        MetadataError(
            code: code, category: .transient, operation: "createTopic", detail: "the detail", outcome: outcome,
            refusal: refusal)
    }

    @Test("a refusal ends with 1, an unreachable cluster with 3, an unknown outcome with 4")
    func statuses() {
        let refusal = Refusal(.topicExists, "the detail")
        #expect(CommandFailure(error(.refused, .definite, refusal: refusal)).status == .refused)
        #expect(CommandFailure(error(.invalidRequest, .definite)).status == .refused)
        for code in [MetadataError.Code.unavailable, .timedOut, .overloaded, .wrongCluster, .storageFailed] {
            #expect(CommandFailure(error(code, .definite)).status == .unavailable, "\(code)")
        }
        for code in MetadataError.Code.allCases {
            #expect(CommandFailure(error(code, .indefinite)).status == .unknownOutcome, "\(code)")
        }
        #expect([ExitStatus.done, .refused, .usage, .unavailable, .unknownOutcome].map(\.rawValue) == [0, 1, 2, 3, 4])
    }

    @Test("a failure is one line, or one object with the reason of the refusal as its code")
    func text() throws {
        let failure = CommandFailure(
            error(.refused, .definite, refusal: Refusal(.topicExists, "the detail")))
        #expect(failure.line == "metactl: refused: topic_exists: the detail")
        #expect(
            try JSON.line(FailureReport(failure))
                == #"{"error":{"category":"transient","code":"topic_exists","detail":"the detail","outcome":"definite"}}"#
        )
        #expect(
            CommandFailure(error(.timedOut, .indefinite)).line == "metactl: outcome unknown: timed_out: the detail")
        #expect(CommandFailure(error(.unavailable, .definite)).line == "metactl: unavailable: the detail")
    }

    @Test("what fails behind a change that was made ends with 4, whatever it says of itself")
    func afterChange() {
        for known: any Error in [
            error(.unavailable, .definite), CommandFailure.notFound(code: "unavailable", "the detail"),
            CommandFailure.unavailable(code: "unavailable", "the detail"),
        ] {
            let failure = CommandFailure(after: "added node 4", known)
            #expect(failure.status == .unknownOutcome && failure.outcome == .indefinite)
            #expect(failure.line == "metactl: outcome unknown: unavailable: added node 4; then: the detail")
        }
    }

    @Test("usage errors end with 2, help with 0, whatever the parser would have used")
    func parserErrors() async {
        #expect(await Program.run(arguments: ["no-such-command"]) == .usage)
        #expect(await Program.run(arguments: ["topics", "create", "--output", "json"]) == .usage)
        #expect(await Program.run(arguments: ["log", "dump", "/no/such/folder"]) == .usage)
        #expect(await Program.run(arguments: ["help", "topics"]) == .done)
    }

    @Test("JSON is recognized in arguments that cannot be parsed")
    func wantsJSON() {
        #expect(Program.wantsJSON(["bogus", "--output", "json"]))
        #expect(Program.wantsJSON(["-o", "json"]))
        #expect(Program.wantsJSON(["--output=json"]))
        #expect(!Program.wantsJSON(["topics", "create", "json", "--output", "table"]))
    }
}
