#!/bin/sh
# Runs test programs one after the other and sums up.
#
#   tests/run.sh PROGRAM...
#
# WRAPPER     put before each program: valgrind, qemu (split at blanks)
# TIME_LIMIT  seconds for each program; by default 120, and ten times as many
#             under a wrapper or with CORQ_TEST_SCALE=full
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

# By itself timeout makes a process group of its own and so ends whatever the
# test has started; but Ctrl-C would not reach that group from a terminal.
foreground=
if [ -t 0 ] && timeout --foreground 1 true 2>/dev/null; then
    foreground=--foreground
fi

# Prints why the program failed, nothing if it passed.
verdict() {
    case $1 in
    0) grep -q '^\[  SKIPPED \] ' "$2" && echo 'skipped a test' ;;
    124) echo "not done after $limit s" ;;
    *) echo "status $1" ;;
    esac
}

npassed=0
nfailed=0
failures=

for program in "$@"; do
    echo "== $program"
    # To a file and not through a pipe: a pipe would stay open for as long as
    # any process that the test has left behind.
    # shellcheck disable=SC2086
    timeout $foreground -k 10 "$limit" $WRAPPER "$program" \
        >"$program.log" 2>&1 </dev/null
    reason=$(verdict $? "$program.log")
    cat "$program.log"
    if [ -z "$reason" ]; then
        npassed=$((npassed + 1))
    else
        nfailed=$((nfailed + 1))
        failures="$failures $program ($reason)"
        echo "== $program: $reason"
    fi
done

echo
[ -z "$failures" ] || echo "failed:$failures"
echo "$npassed passed, $nfailed failed"
[ "$nfailed" -eq 0 ]
