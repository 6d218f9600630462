#!/bin/sh
# Prints the project's files, one a line: those in git and those that are new
# and not ignored. With patterns as git knows them, only the files that match.
# A file that is in git and was just deleted is left out.
#
#   tests/lint/files.sh ['*.c' ...]
set -eu

files=$(git ls-files --cached --others --exclude-standard -- "$@")
printf '%s\n' "$files" | sort -u | while IFS= read -r file; do
    [ ! -f "$file" ] || printf '%s\n' "$file"
done
