# shellcheck shell=bash
# Functions that the scripts of this folder share. Source it; it changes to the root of the repository.

set -euo pipefail

cluster_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
root=$(dirname "$cluster_folder")
cd "$root"

# Some of these are for the scripts that source this file.
# shellcheck disable=SC2034
{
    run_folder=cluster/run
    data_folder=cluster/data
    # CLUSTER_BINARIES=FOLDER: metad and metactl are taken from there, and nothing is built.
    metad=${CLUSTER_BINARIES:-.build/release}/metad
    metactl=${CLUSTER_BINARIES:-.build/release}/metactl
    nodes=(1 2 3)
    demo_brokers=(1 2 3)
    build_packages=(libsqlite3-dev zlib1g-dev)
    # SwiftPM fetches the dependencies with git, which a bare machine need not have.
    if ! command -v git >/dev/null; then build_packages+=(git ca-certificates); fi
}

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Logs, pid files and data are nobody else's business.
umask 077

client_port() { echo "740$1"; }
peer_port() { echo "750$1"; }
health_port() { echo "808$1"; }
metrics_port() { echo "909$1"; }

endpoints() { echo "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403"; }

# recorded_pid NAME: the process id in the pid file, if there is one and it is a number.
recorded_pid() {
    local pid
    [[ -r "$run_folder/$1.pid" ]] || return 1
    read -r pid <"$run_folder/$1.pid" || return 1
    [[ "$pid" =~ ^[0-9]+$ ]] && ((pid > 1)) || return 1
    echo "$pid"
}

# program_of PID: the path of the program that the process runs. A rebuilt program is marked as deleted by Linux.
program_of() {
    if [[ -e "/proc/$1/exe" || -L "/proc/$1/exe" ]]; then
        local path
        path=$(readlink "/proc/$1/exe") || return 1
        echo "${path% (deleted)}"
    else
        ps -o comm= -p "$1"
    fi
}

# live_pid NAME: the recorded process id, if that process runs and is one of our programs. Ids are used again by the
# system, so a number alone proves nothing.
live_pid() {
    local pid program
    pid=$(recorded_pid "$1") || return 1
    kill -0 "$pid" 2>/dev/null || return 1
    program=$(program_of "$pid") || return 1
    case "${program##*/}" in
    metad | metactl) echo "$pid" ;;
    *) return 1 ;;
    esac
}

# supervisor_pid NAME: the process that starts NAME again when it dies, if there is one.
supervisor_pid() {
    local pid line
    pid=$(recorded_pid "$1.supervisor") || return 1
    kill -0 "$pid" 2>/dev/null || return 1
    if [[ -r "/proc/$pid/cmdline" ]]; then
        line=$(tr '\0' ' ' <"/proc/$pid/cmdline") || return 1
    else
        line=$(ps -o args= -p "$pid") || return 1
    fi
    [[ "$line" == *"cluster/lib/supervise $1 "* ]] || return 1
    echo "$pid"
}

# start_detached LOG COMMAND...: starts it in the background, apart from this terminal; its number is in $!.
start_detached() {
    local log=$1
    shift
    local detach=()
    if command -v setsid >/dev/null; then detach=(setsid); else detach=(nohup); fi
    "${detach[@]}" "$@" >>"$log" 2>&1 </dev/null &
    disown
}

# start_process NAME COMMAND...: starts it once; nobody minds when it dies.
start_process() {
    local name=$1
    shift
    mkdir -p "$run_folder"
    start_detached "$run_folder/$name.log" "$@"
    echo $! >"$run_folder/$name.pid"
}

# stop_process NAME SECONDS: asks it to end, and ends it when it has not done so in that time. Whoever supervises it ends too.
stop_process() {
    local name=$1 patience=$2 pid supervisor
    if supervisor=$(supervisor_pid "$name"); then
        kill -TERM "$supervisor" 2>/dev/null || true
    elif pid=$(live_pid "$name"); then
        kill -TERM "$pid" 2>/dev/null || true
    fi
    local deadline=$((SECONDS + patience))
    while live_pid "$name" >/dev/null || supervisor_pid "$name" >/dev/null; do
        if ((SECONDS >= deadline)); then
            say "$name did not stop within $patience s and is killed; see $run_folder/$name.log"
            kill_process "$name"
            break
        fi
        sleep 0.1
    done
    rm -f "$run_folder/$name.pid" "$run_folder/$name.supervisor.pid" "$run_folder/$name.trouble"
}

# kill_process NAME: ends it at once, as a crash of its machine would, so that nobody starts it again.
kill_process() {
    local pid
    if pid=$(supervisor_pid "$1"); then
        # The supervisor leads a group of its own where there is setsid.
        kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
    fi
    if pid=$(live_pid "$1"); then kill -KILL "$pid" 2>/dev/null || true; fi
    rm -f "$run_folder/$1.pid" "$run_folder/$1.supervisor.pid" "$run_folder/$1.trouble"
}

is_node() {
    local node
    for node in "${nodes[@]}"; do
        [[ "$node" == "$1" ]] && return 0
    done
    return 1
}

# format_node NODE: prepares its data directory. One that has run and whose data is gone is not made anew: with it went a vote and what
# it had acknowledged, so it has to join again (docs/operations/members.md).
format_node() {
    if [[ ! -e "$data_folder/node$1/identity" && -e "$run_folder/node$1.log" ]]; then
        die "node $1 has run before, and $data_folder/node$1 is gone: it has to join again. Either
  cluster/down --wipe                  begins all anew, or
  $metad format --config cluster/node$1.yaml --set cluster.initial_members=
                                       prepares it to join; start each with cluster/node N start, then
  $metactl members replace $1 127.0.0.1:$(client_port "$1") --wait"
    fi
    # Reformatting would be refused anyway; --if-needed makes that refusal silent.
    local said
    if ! said=$("$metad" format --if-needed --config "cluster/node$1.yaml" 2>&1); then
        say "$said" >&2
        die "node $1 cannot prepare its data directory"
    fi
}

start_node() {
    local pid
    if pid=$(live_pid "node$1"); then
        say "node $1 runs already (process $pid)"
        return 0
    fi
    mkdir -p "$run_folder" "$data_folder"
    format_node "$1"
    # One that pauses after too many restarts makes way: this start is somebody's wish.
    stop_process "node$1" 5
    start_detached "$run_folder/supervisor.log" \
        "$cluster_folder/lib/supervise" "node$1" "$metad" run --config "cluster/node$1.yaml"
    echo $! >"$run_folder/node$1.supervisor.pid"
    local deadline=$((SECONDS + 5))
    until live_pid "node$1" >/dev/null || [[ -e "$run_folder/node$1.trouble" ]]; do
        ((SECONDS < deadline)) || break
        sleep 0.05
    done
}

count_running() {
    local node count=0
    for node in "${nodes[@]}"; do
        if live_pid "node$node" >/dev/null; then count=$((count + 1)); fi
    done
    echo "$count"
}

# http_status PORT PATH: the status code of a GET on loopback, 000 without an answer. Bare machines have no curl.
http_status() {
    local line
    line=$(
        exec 2>/dev/null
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 0
        printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
        read -r -t 2 answer <&3 || exit 0
        printf '%s' "$answer"
    ) || true
    line=${line#HTTP/1.1 }
    line=${line%% *}
    if [[ "$line" =~ ^[0-9]{3}$ ]]; then echo "$line"; else echo 000; fi
}

# wait_until_ready SECONDS: until every node is ready, which includes that it knows a leader.
wait_until_ready() {
    local deadline=$((SECONDS + $1)) node missing
    while :; do
        missing=()
        for node in "${nodes[@]}"; do
            if [[ -e "$run_folder/node$node.trouble" ]]; then
                tail -n 20 "$run_folder/node$node.log" >&2
                die "$(cat "$run_folder/node$node.trouble")"
            fi
            [[ $(http_status "$(health_port "$node")" /health/ready) == 200 ]] || missing+=("$node")
        done
        ((${#missing[@]})) || return 0
        if ((SECONDS >= deadline)); then
            die "not ready after $1 s: node ${missing[*]}; try cluster/status and cluster/logs ${missing[0]}"
        fi
        sleep 0.1
    done
}

process_table() {
    local node pid state
    printf '%-5s %-8s %-9s %-16s %-16s %-16s %s\n' NODE PID STATE CLIENT PEER HEALTH METRICS
    for node in "${nodes[@]}"; do
        pid=$(live_pid "node$node") || pid=-
        state=stopped
        if [[ "$pid" == - ]]; then
            if supervisor_pid "node$node" >/dev/null; then
                state=waiting
            elif [[ -e "$run_folder/node$node.trouble" ]]; then
                state=failed
            fi
        else
            if [[ $(http_status "$(health_port "$node")" /health/ready) == 200 ]]; then
                state=ready
            else
                state=running
            fi
        fi
        printf '%-5s %-8s %-9s %-16s %-16s %-16s %s\n' "$node" "$pid" "$state" \
            "127.0.0.1:$(client_port "$node")" "127.0.0.1:$(peer_port "$node")" \
            "127.0.0.1:$(health_port "$node")" "127.0.0.1:$(metrics_port "$node")"
    done
}

# troubles: what somebody should look at, a line for each node.
troubles() {
    local node
    for node in "${nodes[@]}"; do
        if [[ -r "$run_folder/node$node.trouble" ]]; then cat "$run_folder/node$node.trouble"; fi
    done
}

# install_packages NAME...: installs Debian packages that are missing, or prints the one command that does.
install_packages() {
    local name missing=()
    command -v dpkg-query >/dev/null || return 0
    for name in "$@"; do
        [[ $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) == "install ok installed" ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        say "installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq </dev/null
        apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
    else
        die "missing: ${missing[*]}. Run this, then try again:
  sudo apt-get update && sudo apt-get install -y ${missing[*]}"
    fi
}

require_swift() {
    command -v swift >/dev/null || die "the Swift toolchain is missing: install Swift 6.3 from https://www.swift.org/install"
}

build_release() {
    say "building (the first time takes some minutes)"
    local product build=(-c release)
    # The programs bring the Swift runtime along, and call it without the detour of a shared library. Darwin has it in the system.
    if [[ $(uname) == Linux ]]; then build+=(--static-swift-stdlib); fi
    mkdir -p "$run_folder"
    for product in metad metactl; do
        if ! swift build "${build[@]}" --product "$product" </dev/null >"$run_folder/build.log" 2>&1; then
            tail -n 40 "$run_folder/build.log" >&2
            die "the build of $product failed; all of its output is in $run_folder/build.log"
        fi
    done
}
