#!/bin/sh
# Every C file looks as clang-format would write it.
set -eu

files=$(tests/lint/files.sh '*.c' '*.h')
# shellcheck disable=SC2086
clang-format --dry-run -Werror $files
