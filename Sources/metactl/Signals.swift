// Dispatch sources may be cancelled from any thread; their module does not say so in types.
@preconcurrency import Dispatch
import Foundation

/// Signals as a sequence, instead of the end of the process.
enum Signals {
    /// The names of the signals of `numbers` as they arrive. Their default action is switched off for the process.
    static func stream(_ numbers: [Int32]) -> AsyncStream<String> {
        AsyncStream { continuation in
            let sources = numbers.map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { continuation.yield(name(number)) }
                source.resume()
                return source
            }
            continuation.onTermination = { _ in for source in sources { source.cancel() } }
        }
    }

    private static func name(_ number: Int32) -> String {
        switch number {
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        default: "signal \(number)"
        }
    }
}
