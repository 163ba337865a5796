package import MetadataModel

extension Command {
    /// The number of the field of `kind` that an encoded command holds, read off its front without decoding the rest; nil when
    /// its version and kind do not stand there, as they do in what `schemaBytes` writes.
    package static func kindNumber(ofEncoded bytes: [UInt8]) -> Int? {
        // 08 = field 1, a varint: the version, below 128. Then the tag of the kind: its number, and three bits for its type.
        guard bytes.count >= 3, bytes[0] == 0x08, bytes[1] < 0x80 else { return nil }
        if bytes[2] < 0x80 { return Int(bytes[2] >> 3) }
        guard bytes.count >= 4, bytes[3] < 0x80 else { return nil }
        return (Int(bytes[2] & 0x7f) | Int(bytes[3]) << 7) >> 3
    }

    /// Whether an encoded command is the start of a rebalance.
    package static func startsRebalance(encoded bytes: [UInt8]) -> Bool { kindNumber(ofEncoded: bytes) == 22 }

    /// The names of the fields of `kind`, by number. Those of a release before stay.
    package static let kindNames: [Int: String] = [
        2: "register_broker", 3: "unregister_broker", 4: "fence_broker", 5: "unfence_broker", 6: "create_topic",
        7: "delete_topic", 8: "create_partitions", 9: "alter_configs", 10: "change_partition_leader",
        11: "alter_partition", 12: "open_session", 13: "close_session", 14: "expire_sessions",
        15: "set_feature_level", 16: "begin_shutdown", 17: "drain_broker", 18: "cancel_drain",
        19: "alter_partitions", 20: "elect_leaders", 21: "reassign_partitions", 22: "start_rebalance",
        23: "move_replicas",
        24: "end_rebalance", 25: "note_silence", 26: "take_step", 40: "compare_digests",
    ]
}
