#!/bin/sh
# What a machine can check about the source. Each check is a script of its own
# that prints a line for each violation and ends with 1.
#
#   tests/lint/run.sh BUILD
set -u

cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}

status=0
for check in format sizes includes headers globals words shell conformance; do
    if tests/lint/$check.sh "$build"; then
        echo "  lint   $check"
    else
        echo "  lint   $check: violations, see above"
        status=1
    fi
done
exit $status
