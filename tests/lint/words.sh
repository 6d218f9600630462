#!/bin/sh
# No notes to ourselves, no white space at the end of a line; and no test that
# sleeps or skips: it waits for a condition, and needs what it needs.
set -u

# The brackets keep this file from finding itself.
notes='TO[D]O|FIX[M]E|X[X]X'
pauses='(^|[^_[:alnum:]])(sleep|usleep|nanosleep|clock_nanosleep)\('
skips='(^|[^_[:alnum:]])skip\('

found=0

# refuse REASON GREP-OPTIONS... PATTERN < FILES: names each line that matches.
refuse() {
    reason=$1
    shift
    matches=$(tr '\n' '\0' | xargs -0 grep -HnIE "$@" --)
    [ -n "$matches" ] || return 0
    printf '%s\n' "$matches" | sed "s/\$/   <- $reason/"
    found=1
}

all=$(tests/lint/files.sh) || exit 1
tests=$(tests/lint/files.sh 'tests/*.c') || exit 1

refuse 'do it or leave it out' -w -e "$notes" <<END
$all
END
refuse 'white space at the end' -e '[[:blank:]]$' <<END
$all
END
if [ -n "$tests" ]; then
    refuse 'wait for a condition instead' -e "$pauses" <<END
$tests
END
    refuse 'a test must not be skipped' -e "$skips" <<END
$tests
END
fi

exit $found
