#!/bin/sh
# Dependencies run downwards: master, worker, coro/io, coro/sched, coro/core,
# coro/base. A file includes only from its own layer or one below; hiredis,
# OpenSSL, libevent and Jansson each stay where they are wrapped; bench and tests
# may include everything, and nobody includes them.
set -eu

files=$(tests/lint/files.sh '*.c' '*.h' '*.S')
# shellcheck disable=SC2086
violations=$(awk '
# The height of a layer; 0 for what is outside of them. What lies in coro/
# itself is the map of the whole library and so as high as its highest part.
function layer(path) {
    if (path ~ /^master\//) return 6
    if (path ~ /^worker\//) return 5
    if (path ~ /^coro\/sched\//) return 3
    if (path ~ /^coro\/core\//) return 2
    if (path ~ /^coro\/base\//) return 1
    if (path ~ /^coro\//) return 4
    return 0
}

function is_free(path) {
    return path ~ /^(bench|tests)\//
}

function bad(reason) {
    print FILENAME ":" FNR ": " reason
}

function check_own(name) {
    if (name !~ /^(master|worker|coro|bench|tests|examples)\//)
        bad("\"" name "\" is not written from the root of the project")
    else if (is_free(name) && !is_free(FILENAME))
        bad("\"" name "\" is for bench and tests only")
    else if (layer(FILENAME) && layer(name) > layer(FILENAME))
        bad("\"" name "\" is of a higher layer")
}

function check_foreign(name) {
    if (name ~ /^hiredis/ && FILENAME !~ /^coro\/io\/redis/)
        bad("<" name "> belongs in coro/io/redis* only")
    if (name ~ /^openssl/ && FILENAME !~ /^coro\/io\/redis_tls/)
        bad("<" name "> belongs in coro/io/redis_tls* only")
    if (name ~ /^(event2\/|ev[a-z]*\.h)/ && FILENAME !~ /^coro\//)
        bad("<" name "> belongs in coro/ only")
    if (name ~ /^jansson/ && FILENAME !~ /^master\/cli\//)
        bad("<" name "> belongs in master/cli/ only")
}

/^[ \t]*#[ \t]*include[ \t]*"/ { split($0, part, "\""); check_own(part[2]) }
/^[ \t]*#[ \t]*include[ \t]*</ && !is_free(FILENAME) {
    split($0, part, /[<>]/)
    check_foreign(part[2])
}' $files)

[ -z "$violations" ] || {
    printf '%s\n' "$violations"
    exit 1
}
