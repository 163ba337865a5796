# shellcheck shell=bash disable=SC2034,SC2154
# StreamBus Metadata under cluster/bench/compare: the nodes of cluster/up, on ports and in folders of their own.

[[ -x "$metad" && -x "$metactl" ]] || die "not built: cluster/up, then cluster/down"
version=$(git describe --always --dirty 2>/dev/null || echo unknown)
bench_endpoints=127.0.0.1:17401,127.0.0.1:17402,127.0.0.1:17403

prepare_node() {
    sed -e "s#cluster/data/node$1#$run/n$1#" -e "s#127.0.0.1:7\([45]0\)#127.0.0.1:17\1#g" \
        -e "s#port: 808$1#port: 1808$1#" -e "s#port: 909$1#port: 1909$1#" "cluster/node$1.yaml" >"$run/n$1.yaml"
    "$metad" format --config "$run/n$1.yaml" >/dev/null
}
start_node() { spawn "$1" "$metad" run --config "$run/n$1.yaml"; }
first_write() {
    "$metactl" configs alter --config user.first=write --endpoints "$bench_endpoints" --timeout 60s >/dev/null
    jq -n --argjson begun "$1" --argjson ended "$(date +%s%N)" '{ms: (($ended - $begun) / 1e6)}'
}
wait_for_all() {
    local node
    for node in 1 2 3; do
        until [[ $(http_status "1808$node" /health/ready) == 200 ]]; do sleep 0.05; done
    done
}
# A broker, without which there are no topics to hold ten thousand keys.
preload() { spawn extra "$metactl" demo-broker --id 1 --port 19191 --endpoints "$bench_endpoints"; sleep 3; }
load() {
    "$metactl" bench "$1" --clients "$2" --connections "$(connections "$2")" --value-size "$value_size" --keys "$keys" \
        --duration "${seconds}s" --warmup "${warmup}s" --pid-dir "$run" --endpoints "$bench_endpoints" --output json \
        2>>"$run/bench.log" |
        jq '{clients, ops_s: .throughput, p50_ms, p99_ms, errors, server_cpu_us_op: .server_us_per_request}'
}
write_load() { load write "$1"; }
read_load() { load read "$1"; }
failover() {
    # For the node that was killed.
    cat >"$run/start" <<END
"$metad" run --config "$run/n\$1.yaml" >>"$run/n\$1.log" 2>&1 </dev/null &
echo \$! >"$run/node\$1.pid"
END
    "$metactl" bench failover --rounds 1 --clients 16 --connections 16 --pid-dir "$run" --settle 2s --observe 2s \
        --start-command "bash $run/start {node}" --endpoints "$bench_endpoints" --output json 2>>"$run/bench.log" |
        jq 'select(.max_ms) | {gap_ms: .max_ms, errors}'
    wait_for_all
}
