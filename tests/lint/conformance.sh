#!/bin/sh
# docs/asyncio-conformance.md says the truth: each test that it names exists,
# its counts are those of its lines, and at most 15 % of the scenarios are said
# to have no meaning.
set -eu

document=docs/asyncio-conformance.md
max_percent=15

# The names of our tests, wherever the formatter has put them.
names=$(tests/lint/files.sh 'tests/*.c' | tr '\n' '\0' | xargs -0 cat |
    tr -d '\n ' | grep -oE '[a-z_]*_test[a-z_]*\([a-z0-9_]+' |
    sed 's/.*(//' | sort -u)

violations=$({
    printf '%s\n' "$names"
    echo '== the document'
    cat "$document"
} | awk -v document="$document" -v max=$max_percent '
function bad(reason) {
    print document ":" line ": " reason
}

# The second column names tests, in backquotes, in a cell that begins with how
# the scenario is dealt with.
function check_tests(cell,   part, n, i) {
    n = split(cell, part, "`")
    for (i = 2; i <= n; i += 2)
        if (!(part[i] in is_test))
            bad("there is no test " part[i])
    return n > 1
}

function count_scenario(cell,   has_tests) {
    has_tests = check_tests(cell)
    if (cell ~ /^ covered by /) {
        n[file, "covered"]++
        if (!has_tests)
            bad("covered by which test?")
    } else if (cell ~ /^ differs because ./) {
        n[file, "differ"]++
    } else if (cell ~ /^ no meaning in C because ./) {
        n[file, "none"]++
    } else {
        bad("neither covered, nor different, nor without a meaning")
    }
    n[file, "all"]++
}

# What a line of counts claims: all, covered, different, without a meaning.
function claim(of, all, covered, differ, none) {
    claimed[of] = all " " covered " " differ " " none
    claimed_at[of] = line
}

function counted(of) {
    return (n[of, "all"] + 0) " " (n[of, "covered"] + 0) " " \
        (n[of, "differ"] + 0) " " (n[of, "none"] + 0)
}

!is_document && /^== / { is_document = 1; next }
!is_document { is_test[$0] = 1; next }
{ line++ }
/^## / { file = $2; files[++nfiles] = file; next }
/^[0-9]+ scenarios: / {
    claim(file == "" ? "all of them" : file, $1, $3, $5, $7)
    next
}
/^\| [^ ]+ \| [0-9]+ \|/ { claim("row of " $2, $4, $6, $8, $10); next }
/^\| `/ {
    if (seen[file, $2]++)
        bad($2 " is there twice")
    cell = $0
    sub(/^\| `[^`]*` \|/, "", cell)
    count_scenario(cell)
}

END {
    for (i = 1; i <= nfiles; i++) {
        file = files[i]
        split("all covered differ none", kinds, " ")
        for (k = 1; k <= 4; k++) {
            n["row of " file, kinds[k]] = n[file, kinds[k]]
            n["all of them", kinds[k]] += n[file, kinds[k]]
        }
        if (!(file in claimed) || !("row of " file in claimed))
            print document ": " file " has no line of counts, or no row"
    }
    for (of in claimed) {
        line = claimed_at[of]
        if (claimed[of] != counted(of))
            bad(of ": says " claimed[of] ", counted " counted(of))
    }
    if (!("all of them" in claimed))
        print document ": there is no line of counts for all"
    if (n["all of them", "none"] * 100 > n["all of them", "all"] * max)
        print document ": more than " max " % are without a meaning"
}')

[ -z "$violations" ] || {
    printf '%s\n' "$violations"
    exit 1
}
