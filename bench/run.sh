#!/bin/sh
# Runs the benchmarks, prints one table, and writes $BUILD/bench.json.
#
#   BUILD=build bench/run.sh [NAME ...]
#
# A name is one of those below, or a group of them: `coro` is the coroutine
# library alone, `redis` what runs jobs, `fleet` several processes of them. Without
# names, all of these; `beside` compares two builds (see bench_beside.c).
#
# Figures that miss their budget are reported, and are no failure: a busy
# machine is no defect of the program.
set -eu

cd "$(dirname "$0")/.."
export BUILD="${BUILD:-build}"

directory=$(mktemp -d "${TMPDIR:-/tmp}/corq-bench.XXXXXX")
running=

# A server of ours is killed by the kernel when the program that began it ends.
clean_up() {
    if [ -n "$running" ]; then
        kill "$running" 2>/dev/null || :
        wait "$running" 2>/dev/null || :
    fi
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

rows=$directory/rows
: >"$rows"
coro="core spawn generator timers submit memory"
redis="jobs least service"
fleet="scale recovery"
[ $# -gt 0 ] || set -- coro redis fleet
names=
for name in "$@"; do
    case $name in
    coro) names="$names $coro" ;;
    redis) names="$names $redis" ;;
    fleet) names="$names $fleet" ;;
    *) names="$names $name" ;;
    esac
done

for name in $names; do
    # In the background, so that a signal to this shell is seen at once.
    TMPDIR=$directory "$BUILD/bench/bench_$name" >>"$rows" &
    running=$!
    wait "$running"
    running=
done

machine="$(getconf _NPROCESSORS_ONLN) cores, $(uname -m), $(uname -s) $(uname -r |
    sed 's/[^0-9.].*//')"

# The second baseline of a figure, and each after it, has a line of its own.
awk -F '\t' -v machine="$machine" '
function number(text) {
    if (text == "-") return "-"
    if (text + 0 >= 100 || text + 0 == int(text + 0))
        return sprintf("%.0f", text)
    if (text + 0 >= 10) return sprintf("%.1f", text)
    return text + 0 >= 0.01 ? sprintf("%.2f", text) : sprintf("%.4f", text)
}
{
    cell[++n, 1] = $2
    cell[n, 2] = number($3) ($4 == "" ? "" : " " $4)
    cell[n, 5] = $5 == "-" ? "" : $5 number($6)
    cell[n, 6] = $7 == "-" ? "" : $7
    for (f = 8; f < NF; f += 3) {
        if (f > 8) n++
        cell[n, 3] = number($(f + 1)) " " $f
        cell[n, 4] = number($(f + 2))
    }
}
END {
    split("what|figure|baseline|ratio|budget|met", title, "|")
    for (c = 1; c <= 6; c++) {
        cell[0, c] = title[c]
        for (r = 0; r <= n; r++)
            if (length(cell[r, c]) > width[c]) width[c] = length(cell[r, c])
    }
    print "\n" machine "\n"
    for (r = 0; r <= n; r++) {
        line = ""
        for (c = 1; c <= 6; c++)
            line = line sprintf("%-" width[c] "s  ", cell[r, c])
        sub(/ +$/, "", line)
        print line
    }
}' "$rows"

awk -F '\t' -v machine="$machine" '
function value(text) { return text == "-" ? "null" : text }
function quoted(test, text) { return test == "-" ? "null" : "\"" text "\"" }
function truth(text) {
    return text == "-" ? "null" : (text == "yes" ? "true" : "false")
}
BEGIN { printf "{\n  \"machine\": \"%s\",\n  \"figures\": [", machine }
{
    print NR == 1 ? "" : ","
    printf "    {\"key\": \"%s\", \"what\": \"%s\", ", $1, $2
    printf "\"value\": %s, \"unit\": \"%s\", \"baselines\": [", $3, $4
    for (f = 8; f < NF; f += 3) {
        printf "%s{\"name\": \"%s\", ", (f > 8 ? ", " : ""), $f
        printf "\"value\": %s, \"ratio\": %s}", $(f + 1), $(f + 2)
    }
    printf "], \"budget\": %s, \"met\": %s}", quoted($5, $5 $6), truth($7)
}
END { print "\n  ]\n}" }' "$rows" >"$BUILD/bench.json"
echo
echo "written to $BUILD/bench.json"
