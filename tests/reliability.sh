#!/bin/sh
# Makes the table of docs/reliability.md out of what the tests have written
# down (tests/support/verdict.h), prints it, and puts it into the page.
#
#   tests/reliability.sh VERDICTS PAGE
#
# It fails when there is no verdict on one of the faults, or a bad one.
set -eu

verdicts=$1
page=$2
rows=tests/support/verdict_rows.h
begin='<!-- the table: written by make reliability -->'
end='<!-- the end of the table -->'

# Several tests of one fault are one row: their figures are added up. The first
# file has the rows in their order.
table=$(awk -F '\t' '
    NR == FNR {
        if (match($0, /"[^"]*"/))
            words[nrows++] = substr($0, RSTART + 1, RLENGTH - 2)
        next
    }
    {
        n[$1]++
        jobs[$1] += $3; lost[$1] += $4; twice[$1] += $5; most[$1] += $6
        stuck[$1] += $7; left[$1] += $8; seconds[$1] += $9
        if ($10 != "" && !seen[$1, $10]++)
            note[$1] = note[$1] (note[$1] == "" ? "" : "; ") $10
        if ($4 + $7 + $8 > 0 || $5 > $6) is_bad = 1
    }
    END {
        print "| fault | tests | jobs | lost | ran twice (at most) |" \
            " stuck | left behind | seconds | seen |"
        print "|---|--:|--:|--:|--:|--:|--:|--:|---|"
        for (i = 0; i < nrows; i++) {
            if (!n[i]) {
                print "no verdict on: " words[i] > "/dev/stderr"
                is_bad = 1
                continue
            }
            printf "| %s | %d | %d | %d | %d (%d) | %d | %d | %.0f | %s |\n",
                words[i], n[i], jobs[i], lost[i], twice[i], most[i], stuck[i],
                left[i], seconds[i], note[i]
        }
        exit is_bad
    }' "$rows" "$verdicts") && status=0 || status=$?

printf '%s\n' "$table"

{
    sed "/^$begin\$/q" "$page"
    printf '\n%s\n\n' "$table"
    sed -n "/^$end\$/,\$p" "$page"
} >"$verdicts.page"
cmp -s "$verdicts.page" "$page" || cp "$verdicts.page" "$page"
exit "$status"
