#include "tests/fuzz/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "coro/base/ensure.h"

#define FLAGS (JSON_ALLOW_NUL | JSON_DECODE_ANY)

static size_t span_digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - start);
}

/* The length of a sign or letter that may be there. */
static size_t span_one(const char *at, const char *end, const char *which)
{
    return at < end && *at && strchr(which, *at) ? 1 : 0;
}

/* The length of the longest number with which the text begins; 0 for none. */
static size_t span_number(const char *start, const char *end)
{
    const char *at = start + span_one(start, end, "-");
    size_t n = span_one(at, end, "0");
    n = n ? n : span_digits(at, end);
    if (n == 0)
        return 0;
    at += n;
    n = span_one(at, end, ".");
    if (n && span_digits(at + n, end))
        at += n + span_digits(at + n, end);
    n = span_one(at, end, "eE");
    if (n)
        n += span_one(at + n, end, "+-");
    if (n && span_digits(at + n, end))
        at += n + span_digits(at + n, end);
    return (size_t)(at - start);
}

/* Makes every number outside of strings a 0 and blanks. Its sign stays, and
 * what is left over of one that is badly written, so that bad JSON does not
 * become good. */
static void flatten_numbers(char *at, const char *end)
{
    bool is_string = false;
    while (at < end) {
        size_t n = is_string ? 0 : span_number(at, end);
        if (n > 0) {
            const char *behind = at + n;
            at += span_one(at, end, "-");
            *at++ = '0';
            while (at < behind)
                *at++ = ' ';
            continue;
        }
        if (is_string && *at == '\\' && at + 1 < end)
            at++;
        else if (*at == '"')
            is_string = !is_string;
        at++;
    }
}

void oracle_init(struct oracle *oracle, const char *bytes, size_t len)
{
    *oracle = (struct oracle){.bytes = bytes, .len = len};
    oracle->text = malloc(len + 1);
    ensure(oracle->text);
    if (len > 0)
        memcpy(oracle->text, bytes, len);
    if (len == 0 || memchr(bytes, '\0', len))
        return;
    json_error_t error;
    json_t *root = json_loadb(oracle->text, len, FLAGS, &error);
    if (!root && json_error_code(&error) == json_error_numeric_overflow) {
        flatten_numbers(oracle->text, oracle->text + len);
        root = json_loadb(oracle->text, len, FLAGS, NULL);
    }
    oracle->root = json_is_object(root) ? json_incref(root) : NULL;
    json_decref(root);
}

void oracle_release(struct oracle *oracle)
{
    json_decref(oracle->root);
    free(oracle->text);
}

size_t oracle_depth(const struct oracle *oracle)
{
    size_t depth = 0;
    size_t deepest = 0;
    bool is_string = false;
    for (size_t i = 0; i < oracle->len; i++) {
        char byte = oracle->bytes[i];
        if (is_string && byte == '\\')
            i++;
        else if (byte == '"')
            is_string = !is_string;
        else if (!is_string && (byte == '{' || byte == '['))
            depth++;
        else if (!is_string && (byte == '}' || byte == ']'))
            depth--;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

bool oracle_agrees(const struct oracle *oracle, struct scan_range range,
                   const json_t *value)
{
    if (!range.at || !value)
        return !range.at && !value;
    const char *text = oracle->text + (range.at - oracle->bytes);
    json_t *ours = json_loadb(text, range.len, FLAGS, NULL);
    bool is_same = ours && json_equal(ours, value);
    json_decref(ours);
    return is_same;
}
