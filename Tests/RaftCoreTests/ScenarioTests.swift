import StoryFiles
import Testing

/// Protocol stories. `REWRITE_SCENARIOS=1 swift test --filter ScenarioTests` writes what really happens into the files,
/// to be reviewed like code.
@Suite struct ScenarioTests {
    static let folder = StoryFolder(besides: #filePath)

    @Test("scenario files are found, so that an empty folder cannot pass")
    func scenariosExist() throws {
        #expect(try Self.folder.names().count >= 40)
    }

    @Test("members tell the story that the scenario file tells", arguments: try folder.names())
    func scenario(_ name: String) throws {
        let difference = try Self.folder.difference(in: name, toldBy: Scenario.self)
        #expect(difference == nil, "\(difference ?? "")")
    }
}
