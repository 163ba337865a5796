# shellcheck shell=bash
# What scripts that print a line for each check share. Source it after common.sh; $log is a file for what a command says.

failures=0

skip() { say "skip  $1: $2"; }

# check NAME COMMAND...: a line that says whether the command succeeds, and what it said when it does not.
check() {
    local name=$1
    shift
    # shellcheck disable=SC2154
    if "$@" >"$log" 2>&1; then
        say "ok    $name"
    else
        say "FAIL  $name"
        uniq "$log" | tail -n 20 | sed 's/^/      /'
        failures=$((failures + 1))
    fi
}

# within SECONDS COMMAND...: until it succeeds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# commands_of PAGE WORDS: every command of the page that begins so.
commands_of() {
    # shellcheck disable=SC2016
    sed -n '/^```sh$/,/^```$/p' "$1" | grep -- "^$2" || die "$1 has no command $2"
}
