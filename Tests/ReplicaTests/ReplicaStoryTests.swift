import StoryFiles
import Testing

/// What a replica does from the outside: clients' requests and the disk in, answers out. `Scenarios/README.md` says how the
/// files are read and rewritten.
@Suite("Stories of replicas")
struct ReplicaStoryTests {
    static let folder = StoryFolder(besides: #filePath)

    @Test("stories are found, so that an empty folder cannot pass")
    func storiesExist() throws {
        #expect(try Self.folder.names().count >= 15)
    }

    @Test("replicas tell the story that the file tells", arguments: try folder.names())
    func story(_ name: String) throws {
        let difference = try Self.folder.difference(in: name, toldBy: ReplicaStory.self)
        #expect(difference == nil, "\(difference ?? "")")
    }
}
