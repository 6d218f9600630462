#!/bin/sh
# Functions fit on a screen and files have one subject.
set -eu

max_function_lines=60
max_complexity=12
max_file_lines=500

command -v pmccabe >/dev/null || {
    echo 'there is no pmccabe'
    exit 1
}

# pmccabe's fields, tab-separated: complexity, the same in an older way of
# counting, statements, first line, lines, "file(line): function". It takes
# _Atomic(type) and alignas(n) for functions, so it does not get to see them.
functions=$(tests/lint/files.sh '*.c' '*.h' | while IFS= read -r file; do
    sed -E -e 's/_Atomic\(([^()]*)\)/\1/g' -e 's/alignas\([^()]*\)//g' "$file" |
        pmccabe |
        awk -F '\t' -v file="$file" -v lines=$max_function_lines \
            -v complexity=$max_complexity '
            { where = file ":" $4 ": " $6; sub(/: .*: /, ": ", where) }
            $5 > lines { print where ": " $5 " lines, at most " lines }
            $1 > complexity {
                print where ": complexity " $1 ", at most " complexity
            }'
done)

lengths=$(tests/lint/files.sh '*.c' '*.h' '*.S' '*.sh' |
    while IFS= read -r file; do
        nlines=$(wc -l <"$file")
        [ "$nlines" -le $max_file_lines ] ||
            echo "$file: $((nlines)) lines, at most $max_file_lines"
    done)

violations=$(printf '%s\n%s\n' "$functions" "$lengths" | sed '/^$/d')
[ -z "$violations" ] || {
    printf '%s\n' "$violations"
    exit 1
}
