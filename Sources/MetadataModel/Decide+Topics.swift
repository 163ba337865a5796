extension Decider {
    func createTopic(_ c: Command.CreateTopic) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func deleteTopic(_ c: TopicReference, ifVersion: Version?) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func createPartitions(_ c: Command.CreatePartitions) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func alterConfigs(_ c: Command.AlterConfigs) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func changeLeader(_ c: Command.ChangePartitionLeader) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func alterPartition(_ c: Command.AlterPartition) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func register(_ c: Command.RegisterBroker) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func unregister(_ id: BrokerID, epoch: BrokerEpoch?) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func fence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
    func unfence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        .refused(.unsupportedFeature, "this command is not decided yet")
    }
}
