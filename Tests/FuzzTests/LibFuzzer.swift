import Foundation

/// libFuzzer's entry, compiled only by `cluster/fuzz`, which says in `FUZZ_TARGET` which decoder is meant.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do {
        _ = try chosenTarget.judge(Array(UnsafeBufferPointer(start: start, count: count)))
    } catch {
        preconditionFailure("\(chosenTarget): \(error)")
    }
    return 0
}

/// Chosen with the first input; `FUZZ_EXAMPLES` names a folder that then gets the examples of the target.
private let chosenTarget: FuzzTarget = {
    let environment = ProcessInfo.processInfo.environment
    let name = environment["FUZZ_TARGET"] ?? ""
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
        for target in FuzzTarget.all { print(target) }
        exit(name == "list" ? 0 : 1)
    }
    do {
        guard let folder = environment["FUZZ_EXAMPLES"] else { return target }
        for (number, example) in try target.examples().enumerated() {
            try Data(example).write(to: URL(fileURLWithPath: folder).appendingPathComponent("example-\(number)"))
        }
    } catch {
        preconditionFailure("the examples of \(target) cannot be written: \(error)")
    }
    return target
}()
