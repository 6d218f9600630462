#include "worker/scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/utf8.h"

/* The longest key that we look for, and a byte to tell longer ones. */
#define KEY_SIZE 8

/*
 * Where the scanner stands. The whole text is known to be valid UTF-8. One
 * bit for each open container says whether that is an object.
 */
struct cursor {
    const char *at;
    const char *end;
    unsigned depth;
    uint64_t is_object[SCAN_MAX_DEPTH / 64];
};

static bool starts_with(const struct cursor *c, char byte)
{
    return c->at < c->end && *c->at == byte;
}

/* Steps over @byte if it comes next. */
static bool accept(struct cursor *c, char byte)
{
    if (!starts_with(c, byte))
        return false;
    c->at++;
    return true;
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' ||
                              *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool skip_digits(struct cursor *c)
{
    const char *start = c->at;
    while (c->at < c->end && is_digit(*c->at))
        c->at++;
    return c->at > start;
}

static bool skip_number(struct cursor *c)
{
    accept(c, '-');
    if (!accept(c, '0') && !skip_digits(c))
        return false;
    if (accept(c, '.') && !skip_digits(c))
        return false;
    if (!accept(c, 'e') && !accept(c, 'E'))
        return true;
    if (!accept(c, '+'))
        accept(c, '-');
    return skip_digits(c);
}

static bool skip_word(struct cursor *c, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

static int hex_value(char digit)
{
    if (is_digit(digit))
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Reads the four digits of an escape at the cursor; -1 when they are not. */
static int32_t take_hex4(struct cursor *c)
{
    if (c->end - c->at < 4)
        return -1;
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int value = hex_value(*c->at++);
        if (value < 0)
            return -1;
        code = code << 4 | value;
    }
    return code;
}

/* Reads what follows a backslash and the u: one code, or a surrogate pair. */
static int32_t take_unicode_escape(struct cursor *c)
{
    int32_t code = take_hex4(c);
    if (code < 0xd800 || code > 0xdfff)
        return code;
    if (code > 0xdbff || !accept(c, '\\') || !accept(c, 'u'))
        return -1;
    int32_t low = take_hex4(c);
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* Reads what follows a backslash; -1 when it is no escape. */
static int32_t take_escape(struct cursor *c)
{
    if (c->at == c->end)
        return -1;
    char letter = *c->at++;
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        return take_unicode_escape(c);
    default:
        return -1;
    }
}

/* Steps over bytes that stand for themselves in a string. */
static void skip_plain(struct cursor *c)
{
    while (c->at < c->end && (unsigned char)*c->at >= 0x20 && *c->at != '"' &&
           *c->at != '\\')
        c->at++;
}

/* @allow_zero: whether an escaped zero byte may be part of it. */
static bool skip_string(struct cursor *c, bool allow_zero)
{
    if (!accept(c, '"'))
        return false;
    for (;;) {
        skip_plain(c);
        if (accept(c, '"'))
            return true;
        if (!accept(c, '\\'))
            return false;
        int32_t code = take_escape(c);
        if (code < 0 || (code == 0 && !allow_zero))
            return false;
    }
}

static bool skip_scalar(struct cursor *c)
{
    if (c->at == c->end)
        return false;
    switch (*c->at) {
    case '"':
        return skip_string(c, true);
    case 't':
        return skip_word(c, "true");
    case 'f':
        return skip_word(c, "false");
    case 'n':
        return skip_word(c, "null");
    default:
        return skip_number(c);
    }
}

static bool skip_key_and_colon(struct cursor *c)
{
    skip_space(c);
    if (!skip_string(c, false))
        return false;
    skip_space(c);
    return accept(c, ':');
}

static bool is_in_object(const struct cursor *c)
{
    unsigned top = c->depth - 1;
    return c->is_object[top / 64] >> (top % 64) & 1;
}

/* Notes a container whose first byte has been read. */
static bool enter(struct cursor *c, bool is_object)
{
    if (c->depth == SCAN_MAX_DEPTH)
        return false;
    uint64_t bit = (uint64_t)1 << (c->depth % 64);
    if (is_object)
        c->is_object[c->depth / 64] |= bit;
    else
        c->is_object[c->depth / 64] &= ~bit;
    c->depth++;
    return true;
}

/* What the cursor finds next while it steps over a value. */
enum step { STEP_BAD, STEP_VALUE, STEP_END };

/*
 * Opens the container at the cursor, or steps over the scalar there. STEP_END:
 * a value ends here; STEP_VALUE: the first one of a container is to come.
 */
static enum step begin_value(struct cursor *c)
{
    bool is_object = starts_with(c, '{');
    if (!is_object && !starts_with(c, '['))
        return skip_scalar(c) ? STEP_END : STEP_BAD;
    c->at++;
    if (!enter(c, is_object))
        return STEP_BAD;
    skip_space(c);
    if (starts_with(c, is_object ? '}' : ']'))
        return STEP_END;
    if (is_object && !skip_key_and_colon(c))
        return STEP_BAD;
    return STEP_VALUE;
}

/*
 * After a value: closes containers down to @floor until one goes on. The
 * value of an empty container is found closed here as well.
 */
static enum step end_value(struct cursor *c, unsigned floor)
{
    while (c->depth > floor) {
        skip_space(c);
        bool is_object = is_in_object(c);
        if (accept(c, is_object ? '}' : ']')) {
            c->depth--;
            continue;
        }
        if (!accept(c, ','))
            return STEP_BAD;
        if (is_object && !skip_key_and_colon(c))
            return STEP_BAD;
        return STEP_VALUE;
    }
    return STEP_END;
}

/* Steps over the value at the cursor, however deep it is. */
static bool skip_value(struct cursor *c)
{
    unsigned floor = c->depth;
    enum step step;
    do {
        skip_space(c);
        step = begin_value(c);
        if (step == STEP_END)
            step = end_value(c, floor);
    } while (step == STEP_VALUE);
    return step == STEP_END;
}

/* Resolves the key @range into @out, as much of it as fits; its length. */
static size_t decode_key(struct scan_range range, char out[KEY_SIZE])
{
    struct cursor c = {.at = range.at + 1, .end = range.at + range.len - 1};
    size_t len = 0;
    while (c.at < c.end && len < KEY_SIZE) {
        int32_t code = (unsigned char)*c.at++;
        if (code == '\\')
            code = take_escape(&c);
        /* No name that we look for has a character beyond ASCII. */
        out[len++] = code < 0x80 ? (char)code : '?';
    }
    return len;
}

static struct scan_range *find_member(struct scan_result *job,
                                      struct scan_range key)
{
    char name[KEY_SIZE];
    size_t len = decode_key(key, name);
    if (len == 5 && memcmp(name, "class", 5) == 0)
        return &job->class;
    if (len == 4 && memcmp(name, "args", 4) == 0)
        return &job->args;
    if (len == 3 && memcmp(name, "jid", 3) == 0)
        return &job->jid;
    if (len == 5 && memcmp(name, "retry", 5) == 0)
        return &job->retry;
    if (len == 5 && memcmp(name, "queue", 5) == 0)
        return &job->queue;
    return NULL;
}

static struct scan_range range_from(const char *start, const struct cursor *c)
{
    return (struct scan_range){.at = start, .len = (size_t)(c->at - start)};
}

/* Reads one member of the job's object. */
static bool scan_member(struct cursor *c, struct scan_result *job)
{
    skip_space(c);
    const char *start = c->at;
    if (!skip_string(c, false))
        return false;
    struct scan_range *member = find_member(job, range_from(start, c));
    skip_space(c);
    if (!accept(c, ':'))
        return false;
    skip_space(c);
    start = c->at;
    if (!skip_value(c))
        return false;
    if (member)
        *member = range_from(start, c);
    return true;
}

/* Reads the job's object, whose first brace has been read, and its end. */
static bool scan_members(struct cursor *c, struct scan_result *job)
{
    skip_space(c);
    if (!starts_with(c, '}')) {
        do {
            if (!scan_member(c, job))
                return false;
            skip_space(c);
        } while (accept(c, ','));
    }
    return accept(c, '}');
}

static struct scan_range find_first_arg(struct scan_range args)
{
    struct scan_range none = {0};
    if (!args.at || args.at[0] != '[')
        return none;
    struct cursor c = {.at = args.at + 1, .end = args.at + args.len};
    skip_space(&c);
    const char *start = c.at;
    if (starts_with(&c, ']') || !skip_value(&c))
        return none;
    return range_from(start, &c);
}

int scan_job(const char *bytes, size_t len, struct scan_result *ret)
{
    if (len == 0)
        return 1;
    struct cursor c = {.at = bytes, .end = bytes + len};
    skip_space(&c);
    if (!accept(&c, '{') || !coro_utf8_is_valid(bytes, len))
        return 1;
    struct scan_result job = {0};
    if (!enter(&c, true) || !scan_members(&c, &job))
        return 1;
    skip_space(&c);
    if (c.at != c.end || !job.class.at || job.class.at[0] != '"')
        return 1;
    job.first_arg = find_first_arg(job.args);
    *ret = job;
    return 0;
}

static int append_code(struct coro_buf *out, int32_t code)
{
    char text[4];
    if (code < 0)
        return -EINVAL;
    return coro_buf_append(out, text, coro_utf8_encode((uint32_t)code, text));
}

int scan_string_decode(struct scan_range range, struct coro_buf *out)
{
    if (!range.at || range.len < 2 || range.at[0] != '"')
        return -EINVAL;
    struct cursor c = {.at = range.at + 1, .end = range.at + range.len - 1};
    size_t before = out->len;
    int status = coro_buf_reserve(out, 0);
    while (c.at < c.end && status == 0) {
        const char *start = c.at;
        skip_plain(&c);
        status = coro_buf_append(out, start, (size_t)(c.at - start));
        if (status == 0 && c.at < c.end)
            status =
                accept(&c, '\\') ? append_code(out, take_escape(&c)) : -EINVAL;
    }
    if (status < 0)
        coro_buf_truncate(out, before);
    return status;
}
