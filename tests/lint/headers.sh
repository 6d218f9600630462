#!/bin/sh
# Every header compiles alone: whoever includes it needs to know nothing else.
#
#   tests/lint/headers.sh BUILD
set -eu

CC=${CC:-cc}
warnings='-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla
    -Wmissing-prototypes -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Werror'
flags=
if [ -e "$1/config.mk" ]; then
    flags=$(sed -n 's/^PKG_CFLAGS := //p' "$1/config.mk")
fi

status=0
headers=$(tests/lint/files.sh '*.h')
for header in $headers; do
    # As an include, since some warnings differ in a file that is the main one.
    # shellcheck disable=SC2086
    if ! printf '#include "%s"\n' "$header" | $CC -std=c11 -D_GNU_SOURCE -I. \
        -DCORQ_VERSION='""' $warnings $flags -fsyntax-only -x c -; then
        echo "$header: does not compile alone"
        status=1
    fi
done
exit $status
