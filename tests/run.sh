#!/bin/sh
# Runs test programs, a few at a time, and sums up.
#
#   tests/run.sh PROGRAM...
#
# WRAPPER     put before each program: valgrind, qemu (split at blanks)
# TIME_LIMIT  seconds for each program; by default 120, and ten times as many
#             under a wrapper or with CORQ_TEST_SCALE=full
# TEST_JOBS   how many run at once; by default two for each core, at most 8: for
#             most of their time they wait
#
# A program fails by a status other than 0, by running out of time, and by
# skipping a test: what was not tried is not known to work.
set -u

if [ $# -eq 0 ]; then
    echo 'tests/run.sh: no test programs were given' >&2
    exit 1
fi

WRAPPER=${WRAPPER:-}
if [ -n "$WRAPPER" ] || [ "${CORQ_TEST_SCALE:-}" = full ]; then
    limit=${TIME_LIMIT:-1200}
else
    limit=${TIME_LIMIT:-120}
fi

cores=$(nproc 2>/dev/null || echo 1)
jobs=${TEST_JOBS:-$((cores < 4 ? 2 * cores : 8))}

# Prints why the program failed, nothing if it passed.
verdict() {
    case $1 in
    0) grep -q '^\[  SKIPPED \] ' "$2" && echo 'skipped a test' ;;
    124) echo "not done after $limit s" ;;
    *) echo "status $1" ;;
    esac
}

# Runs one program; leaves its output in PROGRAM.log and why it failed in
# PROGRAM.verdict, and shows the output as a whole, whatever runs beside it.
run_one() {
    # By itself timeout makes a process group of its own and so ends whatever
    # the test has started; but Ctrl-C would not reach that group from a
    # terminal.
    foreground=
    if [ -t 2 ] && timeout --foreground 1 true 2>/dev/null; then
        foreground=--foreground
    fi
    # To a file and not through a pipe: a pipe would stay open for as long as
    # any process that the test has left behind.
    # shellcheck disable=SC2086
    timeout $foreground -k 10 "$limit" $WRAPPER "$1" >"$1.log" 2>&1 </dev/null
    verdict $? "$1.log" >"$1.verdict"
    (
        flock 9
        echo "== $1"
        cat "$1.log"
        [ ! -s "$1.verdict" ] || echo "== $1: $(cat "$1.verdict")"
    ) 9>"$lock"
}

lock=${TEST_LOCK:-}
if [ -n "$lock" ]; then
    run_one "$1"
    exit 0
fi

lock=$(mktemp)
trap 'rm -f "$lock"' EXIT
for program in "$@"; do
    rm -f "$program.verdict"
done
printf '%s\n' "$@" | TEST_LOCK=$lock xargs -n 1 -P "$jobs" "$0"

npassed=0
nfailed=0
failures=
for program in "$@"; do
    reason=$(cat "$program.verdict" 2>/dev/null || echo 'did not run')
    if [ -z "$reason" ]; then
        npassed=$((npassed + 1))
    else
        nfailed=$((nfailed + 1))
        failures="$failures $program ($reason)"
    fi
done

echo
[ -z "$failures" ] || echo "failed:$failures"
echo "$npassed passed, $nfailed failed"
[ "$nfailed" -eq 0 ]
