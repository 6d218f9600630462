#include "worker/members.h"

#include <string.h>

#include "coro/base/utf8.h"
#include "worker/json_escape.h"

static bool starts_with(const struct members *m, char byte)
{
    return m->at < m->end && *m->at == byte;
}

/* Steps over @byte if it comes next. */
static bool accept(struct members *m, char byte)
{
    if (!starts_with(m, byte))
        return false;
    m->at++;
    return true;
}

static void skip_space(struct members *m)
{
    while (m->at < m->end && (*m->at == ' ' || *m->at == '\n' ||
                              *m->at == '\t' || *m->at == '\r'))
        m->at++;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool skip_digits(struct members *m)
{
    const char *start = m->at;
    while (m->at < m->end && is_digit(*m->at))
        m->at++;
    return m->at > start;
}

static bool skip_number(struct members *m)
{
    accept(m, '-');
    if (!accept(m, '0') && !skip_digits(m))
        return false;
    if (accept(m, '.') && !skip_digits(m))
        return false;
    if (!accept(m, 'e') && !accept(m, 'E'))
        return true;
    if (!accept(m, '+'))
        accept(m, '-');
    return skip_digits(m);
}

static bool skip_word(struct members *m, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(m->end - m->at) < len || memcmp(m->at, word, len) != 0)
        return false;
    m->at += len;
    return true;
}

/* Steps over bytes that stand for themselves in a string. */
static void skip_plain(struct members *m)
{
    while (m->at < m->end && (unsigned char)*m->at >= 0x20 && *m->at != '"' &&
           *m->at != '\\')
        m->at++;
}

/* @allow_zero: whether an escaped zero byte may be part of it. */
static bool skip_string(struct members *m, bool allow_zero)
{
    if (!accept(m, '"'))
        return false;
    for (;;) {
        skip_plain(m);
        if (accept(m, '"'))
            return true;
        if (!accept(m, '\\'))
            return false;
        int32_t code = json_take_escape(&m->at, m->end);
        if (code < 0 || (code == 0 && !allow_zero))
            return false;
    }
}

static bool skip_scalar(struct members *m)
{
    if (m->at == m->end)
        return false;
    switch (*m->at) {
    case '"':
        return skip_string(m, true);
    case 't':
        return skip_word(m, "true");
    case 'f':
        return skip_word(m, "false");
    case 'n':
        return skip_word(m, "null");
    default:
        return skip_number(m);
    }
}

static bool skip_key_and_colon(struct members *m)
{
    skip_space(m);
    if (!skip_string(m, false))
        return false;
    skip_space(m);
    return accept(m, ':');
}

static bool is_in_object(const struct members *m)
{
    unsigned top = m->depth - 1;
    return m->is_object[top / 64] >> (top % 64) & 1;
}

/* Notes a container whose first byte has been read. */
static bool enter(struct members *m, bool is_object)
{
    if (m->depth == SCAN_MAX_DEPTH)
        return false;
    uint64_t bit = (uint64_t)1 << (m->depth % 64);
    if (is_object)
        m->is_object[m->depth / 64] |= bit;
    else
        m->is_object[m->depth / 64] &= ~bit;
    m->depth++;
    return true;
}

/* What the cursor finds next while it steps over a value. */
enum step { STEP_BAD, STEP_VALUE, STEP_END };

/*
 * Opens the container at the cursor, or steps over the scalar there. STEP_END:
 * a value ends here; STEP_VALUE: the first one of a container is to come.
 */
static enum step begin_value(struct members *m)
{
    bool is_object = starts_with(m, '{');
    if (!is_object && !starts_with(m, '['))
        return skip_scalar(m) ? STEP_END : STEP_BAD;
    m->at++;
    if (!enter(m, is_object))
        return STEP_BAD;
    skip_space(m);
    if (starts_with(m, is_object ? '}' : ']'))
        return STEP_END;
    if (is_object && !skip_key_and_colon(m))
        return STEP_BAD;
    return STEP_VALUE;
}

/*
 * After a value: closes containers down to @floor until one goes on. The
 * value of an empty container is found closed here as well.
 */
static enum step end_value(struct members *m, unsigned floor)
{
    while (m->depth > floor) {
        skip_space(m);
        bool is_object = is_in_object(m);
        if (accept(m, is_object ? '}' : ']')) {
            m->depth--;
            continue;
        }
        if (!accept(m, ','))
            return STEP_BAD;
        if (is_object && !skip_key_and_colon(m))
            return STEP_BAD;
        return STEP_VALUE;
    }
    return STEP_END;
}

/* Steps over the value at the cursor, however deep it is. */
static bool skip_value(struct members *m)
{
    unsigned floor = m->depth;
    enum step step;
    do {
        skip_space(m);
        step = begin_value(m);
        if (step == STEP_END)
            step = end_value(m, floor);
    } while (step == STEP_VALUE);
    return step == STEP_END;
}

static struct scan_range range_from(const char *start, const struct members *m)
{
    return (struct scan_range){.at = start, .len = (size_t)(m->at - start)};
}

bool members_begin(struct members *members, const char *bytes, size_t len)
{
    if (len == 0)
        return false;
    members->at = bytes;
    members->end = bytes + len;
    members->is_first = true;
    members->depth = 0;
    skip_space(members);
    if (!accept(members, '{') || !coro_utf8_is_valid(bytes, len))
        return false;
    return enter(members, true);
}

/* Behind the last member: the brace, and nothing after it. */
static int finish(struct members *m)
{
    if (!accept(m, '}'))
        return -1;
    const char *behind = m->at;
    skip_space(m);
    bool is_all = m->at == m->end;
    m->at = behind;
    return is_all ? 0 : -1;
}

int members_next(struct members *members, struct member *ret)
{
    struct members *m = members;
    if (!m->is_first && !accept(m, ','))
        return finish(m);
    const char *start = m->at;
    skip_space(m);
    if (m->is_first && starts_with(m, '}'))
        return finish(m);
    m->is_first = false;
    const char *key = m->at;
    if (!skip_string(m, false))
        return -1;
    ret->key = range_from(key, m);
    skip_space(m);
    if (!accept(m, ':'))
        return -1;
    skip_space(m);
    const char *value = m->at;
    if (!skip_value(m))
        return -1;
    ret->value = range_from(value, m);
    skip_space(m);
    ret->whole = range_from(start, m);
    return 1;
}

/* Steps over the character of an escape in *@name, if that is what it has. */
static bool match_escape(const char **at, const char *end, const char **name)
{
    int32_t code = json_take_escape(at, end);
    if (code < 0)
        return false;
    char text[4];
    size_t len = coro_utf8_encode((uint32_t)code, text);
    if (strncmp(*name, text, len) != 0)
        return false;
    *name += len;
    return true;
}

bool member_is_named(const struct member *member, const char *name)
{
    /* A key holds no zero byte, so none is compared with the end of @name. */
    const char *at = member->key.at + 1;
    const char *end = member->key.at + member->key.len - 1;
    while (at < end) {
        char byte = *at++;
        if (byte == '\\') {
            if (!match_escape(&at, end, &name))
                return false;
        } else if (byte != *name++) {
            return false;
        }
    }
    return *name == '\0';
}

struct scan_range members_first_element(struct scan_range range)
{
    struct scan_range none = {0};
    if (!range.at || range.at[0] != '[')
        return none;
    struct members m = {.at = range.at + 1, .end = range.at + range.len};
    skip_space(&m);
    const char *start = m.at;
    if (starts_with(&m, ']') || !skip_value(&m))
        return none;
    return range_from(start, &m);
}
