# shellcheck shell=bash disable=SC2034,SC2154
# ZooKeeper under cluster/bench/compare: its defaults (forceSync), with the heap its own scripts give it.

jars=$(dpkg -L libzookeeper-java 2>/dev/null | sed -n 's#/zookeeper\.jar$##p' | head -1)
[[ -n "$jars" && -d "$root/cluster/run/bench/zookeeper" ]] || die "no ZooKeeper: cluster/bench/setup"
classes=$jars/zookeeper-jute.jar:$jars/zookeeper.jar
for jar in slf4j-api slf4j-nop commons-cli commons-io metrics-core snappy-java jackson-annotations jackson-core \
    jackson-databind netty; do
    classes=$classes:$jars/$jar.jar
done
for jar in "$jars"/netty-*.jar; do [[ -L "$jar" ]] || classes=$classes:$jar; done
version=$(java -cp "$classes" org.apache.zookeeper.version.VersionInfoMain 2>/dev/null |
    sed -n 's/^Apache ZooKeeper, version \([0-9.]*\).*/\1/p')
bench_endpoints=127.0.0.1:17441,127.0.0.1:17442,127.0.0.1:17443

prepare_node() {
    local node
    mkdir -p "$run/n$1"
    echo "$1" >"$run/n$1/myid"
    {
        printf '%s\n' tickTime=2000 initLimit=10 syncLimit=5 "dataDir=$run/n$1" "clientPort=1744$1" \
            clientPortAddress=127.0.0.1 maxClientCnxns=0 admin.enableServer=false 4lw.commands.whitelist=srvr
        for node in 1 2 3; do echo "server.$node=127.0.0.1:1745$node:1746$node"; done
    } >"$run/n$1.cfg"
}
start_node() {
    spawn "$1" java -Xmx1000m -cp "$classes" org.apache.zookeeper.server.quorum.QuorumPeerMain "$run/n$1.cfg"
}
zookeeper_load() {
    local command=$1
    shift
    timeout 120 java -Xmx1500m -cp "$root/cluster/run/bench/zookeeper:$classes" ZkLoad "$command" \
        -endpoints "$bench_endpoints" -pids "$(pid_list)" -keys "$keys" -val "$value_size" "$@" 2>>"$run/load.log"
}
first_write() { zookeeper_load first -t0 "$1"; }
wait_for_all() { zookeeper_load wait; }
# The second line: its compiler needs to have seen the load before anything is measured.
preload() {
    zookeeper_load preload
    zookeeper_load put -clients 64 -target all -warm 1 -d 5 >/dev/null
}
write_load() { zookeeper_load put -clients "$1" -d "$seconds" -warm "$warmup"; }
# sync and getData go out together: a linearizable read.
read_load() { zookeeper_load get -clients "$1" -sync 1 -d "$seconds" -warm "$warmup"; }
failover() {
    local node
    zookeeper_load failover -clients 16
    for node in 1 2 3; do
        kill -0 "$(cat "$run/node$node.pid")" 2>/dev/null || start_node "$node"
    done
    wait_for_all
}
