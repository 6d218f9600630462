#!/bin/sh
# Shows corq at work: starts it with a Redis of its own, pushes a mix of jobs
# as anybody could with redis-cli, watches them run at once, and stops it.
#
#   PROGRAM=build/corq examples/demo.sh
set -eu

njobs=120
nbad=2
concurrency=200
time_limit=60

corq=
port=
tmp=

say() {
    printf '%s\n' "$*"
}

die() {
    [ -t 1 ] && printf '\n'
    printf 'demo: %s\n' "$*" >&2
    if [ -n "$tmp" ] && [ -s "$tmp/log" ]; then
        printf 'demo: the last lines of the log of corq:\n' >&2
        tail -n 15 "$tmp/log" >&2
    fi
    exit 1
}

# --- processes --------------------------------------------------------------

# The ids of what was started here and is alive: it names our folder or, like
# redis-server, which rewrites its own command line, our port.
ours() {
    for process in /proc/[0-9]*; do
        command=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
        case $command in
        *"$tmp"* | *redis-server*":$port"* | *valkey-server*":$port"*)
            printf '%s ' "${process#/proc/}" ;;
        esac
    done 2>/dev/null
}

# What is still there when the demo ends, however it ends, goes with it. The
# second SIGTERM tells corq not to wait for its jobs.
clean_up() {
    status=$?
    trap '' INT TERM
    [ -n "$tmp" ] || exit $status
    tries=0
    while [ -n "$(ours)" ] && [ $tries -lt 50 ]; do
        [ -z "$corq" ] || [ $tries -gt 1 ] || kill -TERM "$corq" 2>/dev/null || true
        tries=$((tries + 1))
        sleep 0.1
    done
    for process in $(ours); do
        kill -KILL "$process" 2>/dev/null || true
    done
    rm -rf "$tmp"
    exit $status
}

# Listening sockets are in /proc/net/tcp by port number in hexadecimal. The
# ports tried lie below those that the kernel hands out by itself.
choose_port() {
    try=0
    while [ $try -lt 100 ]; do
        port=$((20000 + ($$ * 7 + try * 131) % 12000))
        grep -q ":$(printf '%04X' $port) " /proc/net/tcp /proc/net/tcp6 \
            2>/dev/null || return 0
        try=$((try + 1))
    done
    die 'found no free port'
}

find_client() {
    for client in redis-cli valkey-cli; do
        command -v $client >/dev/null && return 0
    done
    die 'there is neither redis-cli nor valkey-cli'
}

redis() {
    $client -h 127.0.0.1 -p "$port" "$@"
}

start_corq() {
    "$PROGRAM" run --embedded-redis="$tmp/redis" \
        --redis "redis://127.0.0.1:$port/0" --concurrency $concurrency \
        --log-format text 2>"$tmp/log" </dev/null &
    corq=$!
    tries=0
    until [ "$(redis ping 2>/dev/null)" = PONG ]; do
        kill -0 "$corq" 2>/dev/null || die 'corq ended at once'
        [ $tries -lt 100 ] || die 'Redis did not answer within 10 seconds'
        tries=$((tries + 1))
        sleep 0.1
    done
}

stop_corq() {
    kill -TERM "$corq"
    status=0
    wait "$corq" || status=$?
    corq=
    [ $status -eq 0 ] || die "corq ended with status $status"
    left=$(ours)
    [ -z "$left" ] || die "processes are left: $left"
}

# --- jobs -------------------------------------------------------------------

# Payloads are numbers of seconds, from 0.2 to 3, and a few that are none.
payloads() {
    awk -v njobs=$njobs -v nbad=$nbad 'BEGIN {
        for (i = 0; i < njobs; i++)
            printf "%.2f\n", 0.2 + 2.8 * ((i * 37) % njobs) / (njobs - 1)
        for (i = 0; i < nbad; i++)
            print "abc"
    }'
}

push() {
    # The payloads have no blanks.
    # shellcheck disable=SC2046
    redis lpush queue $(payloads) >/dev/null
}

# Prints: waiting, dead, and what time it is in seconds, all by Redis.
ask_redis() {
    printf 'llen queue\nzcard corq:dead\ntime\n' | redis |
        awk '{ line[NR] = $1 }
            END { printf "%d %d %.2f\n", line[1], line[2], line[3] + line[4] / 1e6 }'
}

# Each job that starts logs "Wait N" and, when done, "Done N x.xxs". Prints how
# many run, how many are done, the most that ran at once, and the sum of N.
read_log() {
    awk '
        match($0, /Wait [0-9.]+/) {
            if (++running > peak)
                peak = running
        }
        match($0, /Done [0-9.]+ [0-9.]+s/) {
            split(substr($0, RSTART, RLENGTH), word, " ")
            running--
            done++
            seconds += word[2]
        }
        END { printf "%d %d %d %.1f\n", running, done, peak, seconds }' "$tmp/log"
}

# --- what is shown ----------------------------------------------------------

# A terminal sees one line that changes, a file a line a second.
show_progress() {
    line=$(printf '%4d waiting %4d running %4d done %4d dead' \
        "$waiting" "$running" "$ndone" "$dead")
    if [ -t 1 ]; then
        printf '\r%s' "$line"
    elif [ $((ticks % 10)) -eq 0 ] || [ "${1:-}" = last ]; then
        say "$line"
    fi
}

measure() {
    # Each prints numbers only.
    # shellcheck disable=SC2046
    set -- $(ask_redis) $(read_log)
    [ $# -eq 7 ] || die 'Redis does not answer any more'
    waiting=$1 dead=$2 now=$3 running=$4 ndone=$5 peak=$6 seconds=$7
}

watch() {
    ticks=0
    measure
    while [ $((ndone + dead)) -lt $((njobs + nbad)) ]; do
        show_progress
        kill -0 "$corq" 2>/dev/null || die 'corq ended before its jobs'
        [ $ticks -lt $((time_limit * 10)) ] ||
            die "not done within $time_limit seconds"
        ticks=$((ticks + 1))
        sleep 0.1
        measure
    done
    show_progress last
    [ ! -t 1 ] || say
}

# The entries are JSON objects; of each, the payload and why it is there.
show_dead() {
    say "$dead jobs are in corq:dead, each with its payload and the reason:"
    redis zrange corq:dead 0 -1 | sed -E \
        -e 's/.*"payload":"(([^"\\]|\\.)*)".*"error_message":"(([^"\\]|\\.)*)".*/    \1: \3/' \
        -e 's/\\"/"/g'
}

report() {
    wall=$(awk -v from="$started" -v to="$now" 'BEGIN { printf "%.1f", to - from }')
    say "$ndone jobs slept $seconds seconds in all, in $wall seconds by the clock;"
    say "at most $peak ran at once, in one thread."
    show_dead
}

# --- main -------------------------------------------------------------------

[ -x "${PROGRAM:-}" ] || die 'PROGRAM must name the corq binary'
find_client

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tmp=$(mktemp -d)
choose_port

say "starting corq with a Redis of its own on port $port"
start_corq
say "pushing $njobs jobs that sleep for 0.2 to 3 seconds, and $nbad that can't be run"
# shellcheck disable=SC2046
set -- $(ask_redis)
started=$3
push
watch
report
stop_corq
say 'corq has stopped and left nothing running.'
