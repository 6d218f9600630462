#!/bin/sh
# Every script can be started and is one that its shell can read.
set -eu

status=0
files=$(tests/lint/files.sh)
while IFS= read -r file; do
    IFS= read -r first <"$file" || :
    case $first in
    '#!'*bash*) shell='bash' ;;
    '#!'*/sh | '#!'*/sh\ *) shell='sh' ;;
    *) continue ;;
    esac
    if [ ! -x "$file" ]; then
        echo "$file: is not executable"
        status=1
    fi
    if command -v "$shell" >/dev/null && ! "$shell" -n "$file"; then
        echo "$file: $shell cannot read it"
        status=1
    fi
done <<END
$files
END
exit $status
