#!/bin/sh
# Runs the benchmarks, prints one table, and writes $BUILD/bench.json.
#
#   BUILD=build bench/run.sh [NAME ...]
#
# NAME is core, timers, submit, jobs, least, service, memory, scale, recovery, or
# beside, which compares two builds (see bench_beside.c).
#
# Without names, all but the last. Figures that miss their budget are reported, and
# are no failure: a busy machine is no defect of the program.
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
[ $# -gt 0 ] || set -- core timers submit jobs least service memory scale recovery
for name in "$@"; do
    # In the background, so that a signal to this shell is seen at once.
    TMPDIR=$directory "$BUILD/bench/bench_$name" >>"$rows" &
    running=$!
    wait "$running"
    running=
done

machine="$(getconf _NPROCESSORS_ONLN) cores, $(uname -m), $(uname -s) $(uname -r |
    sed 's/[^0-9.].*//')"

awk -F '\t' -v machine="$machine" '
function number(text) {
    if (text == "-") return "-"
    if (text + 0 >= 100 || text + 0 == int(text + 0))
        return sprintf("%.0f", text)
    if (text + 0 >= 10) return sprintf("%.1f", text)
    return text + 0 >= 0.01 ? sprintf("%.2f", text) : sprintf("%.4f", text)
}
{
    cell[NR, 1] = $2
    cell[NR, 2] = number($3) ($4 == "" ? "" : " " $4)
    cell[NR, 3] = $5 == "-" ? "" : number($6) " " $5
    cell[NR, 4] = $7 == "-" ? "" : number($7)
    cell[NR, 6] = $10 == "-" ? "" : $10
    cell[NR, 5] = $8 == "-" ? "" : $8 number($9)
}
END {
    split("what|figure|baseline|ratio|budget|met", title, "|")
    for (c = 1; c <= 6; c++) {
        cell[0, c] = title[c]
        for (r = 0; r <= NR; r++)
            if (length(cell[r, c]) > width[c]) width[c] = length(cell[r, c])
    }
    print "\n" machine "\n"
    for (r = 0; r <= NR; r++) {
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
    printf "\"value\": %s, \"unit\": \"%s\", ", $3, $4
    printf "\"baseline\": %s, ", quoted($5, $5)
    printf "\"baseline_value\": %s, \"ratio\": %s, ", value($6), value($7)
    printf "\"budget\": %s, \"met\": %s}", quoted($8, $8 $9), truth($10)
}
END { print "\n  ]\n}" }' "$rows" >"$BUILD/bench.json"
echo
echo "written to $BUILD/bench.json"
