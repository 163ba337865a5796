# shellcheck shell=bash disable=SC2034,SC2154
# etcd under cluster/bench/compare: its defaults, which write to disk before the answer.

etcd=${ETCD:-$(command -v "$root"/cluster/run/bench/etcd etcd | head -1)} || die "no etcd: cluster/bench/setup"
etcdload=$root/cluster/run/bench/etcdload
[[ -x "$etcdload" ]] || die "no load generator for etcd: cluster/bench/setup"
version=$("$etcd" --version | awk '/etcd Version/{print $3}')
bench_endpoints=127.0.0.1:17421,127.0.0.1:17422,127.0.0.1:17423

prepare_node() { :; }
start_node() {
    local peers=n1=http://127.0.0.1:17431,n2=http://127.0.0.1:17432,n3=http://127.0.0.1:17433
    spawn "$1" "$etcd" --name "n$1" --data-dir "$run/n$1" \
        --listen-client-urls "http://127.0.0.1:1742$1" --advertise-client-urls "http://127.0.0.1:1742$1" \
        --listen-peer-urls "http://127.0.0.1:1743$1" --initial-advertise-peer-urls "http://127.0.0.1:1743$1" \
        --initial-cluster "$peers" --initial-cluster-token "$(basename "$run")" --initial-cluster-state new
}
etcd_load() {
    local command=$1
    shift
    "$etcdload" "$command" -endpoints "$bench_endpoints" -pids "$(pid_list)" -keys "$keys" -val "$value_size" "$@" \
        2>>"$run/load.log"
}
first_write() { "$etcdload" first -endpoints "$bench_endpoints" -t0 "$1"; }
wait_for_all() { timeout 40 "$etcdload" wait -endpoints "$bench_endpoints"; }
preload() { etcd_load put -clients 64 -warm 0s -d 2s >/dev/null; }
write_load() { etcd_load put -clients "$1" -d "${seconds}s" -warm "${warmup}s"; }
read_load() { etcd_load get -clients "$1" -d "${seconds}s" -warm "${warmup}s"; }
failover() {
    local node
    etcd_load failover -clients 16
    for node in 1 2 3; do
        kill -0 "$(cat "$run/node$node.pid")" 2>/dev/null || start_node "$node"
    done
    wait_for_all
}
