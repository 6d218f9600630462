#!/bin/sh
# No library exports a variable that can change, so that two of anything can
# live in one process, and libcoro's symbols all begin with coro_, so that it
# can be linked into any program.
#
#   tests/lint/globals.sh BUILD
set -eu

libraries=$(ls "$1"/lib/*.a 2>/dev/null) || {
    echo "there are no libraries in $1/lib; build first"
    exit 1
}

# Prints "symbol type section" for what the library exports. A table of pointers
# is writable for the dynamic linker and for nobody after it; only its section
# tells it from a variable.
exports_of() {
    nm -g --defined-only --format=sysv "$1" 2>/dev/null |
        awk -F '|' 'NF == 7 && $3 ~ /[A-Za-z]/ {
            gsub(/ /, "")
            print $1, $3, ($7 == "" ? "-" : $7)
        }' OFS=' '
}

command -v nm >/dev/null || {
    echo 'there is no nm'
    exit 1
}

violations=$(for library in $libraries; do
    # Small data, weak, unique and common variables count as well.
    exports_of "$library" | awk -v library="$library" '
        $2 == "Class" { next }
        $2 ~ /^[BDCGSVu]$/ && $3 !~ /^\.data\.rel\.ro/ {
            print library ": exports the variable " $1
        }
        library ~ /\/libcoro-[^\/]*$/ && $1 !~ /^coro_/ {
            print library ": exports " $1 ", which does not begin with coro_"
        }'
done)

[ -z "$violations" ] || {
    printf '%s\n' "$violations"
    exit 1
}
