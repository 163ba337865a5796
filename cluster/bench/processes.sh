# shellcheck shell=bash
# Processes of a benchmark, whose files are in the folder $run. Source it.

: "${run=}"

# spawn NODE COMMAND...: starts a node in the background, with a log of its own.
spawn() {
    local node=$1
    shift
    "$@" >>"$run/n$node.log" 2>&1 </dev/null &
    echo $! >"$run/node$node.pid"
    disown
}

# Only processes that were started here, by their ids.
kill_node() {
    local pid
    pid=$(cat "$run/node$1.pid" 2>/dev/null) || return 0
    kill -9 "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [[ $(ps -o stat= -p "$pid") != Z* ]]; do sleep 0.01; done
    rm -f "$run/node$1.pid"
}

readonly connections_max=16

# connections CLIENTS: over how many connections so many requests in flight are spread.
connections() { echo $(($1 < connections_max ? $1 : connections_max)); }
