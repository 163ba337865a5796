import MetadataStore
import Resilience

extension SharedCircuitBreaker {
    /// Does something to the database that comes back by itself, a checkpoint or a scrub: while it fails again and again, it
    /// rests. Blocks.
    func around<Value>(
        _ operation: String, _ work: () throws(StoreError) -> Value
    ) -> Result<Value, StoreError> {
        let permit: CircuitBreaker.Permit
        do {
            permit = try admit()
        } catch {
            return .failure(.refused(operation: operation, reason: "\(name) is \(error)"))
        }
        do throws(StoreError) {
            let value = try work()
            record(.success, of: permit)
            return .success(value)
        } catch {
            record(error.endsWithNode ? .neutral : .failure, of: permit)
            return .failure(error)
        }
    }
}

extension StoreError {
    /// The node was stopped meanwhile.
    fileprivate var endsWithNode: Bool {
        if case .closed = self { true } else { false }
    }
}
