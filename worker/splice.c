#include "worker/splice.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "coro/base/buf.h"
#include "coro/base/ensure.h"
#include "coro/sched/task.h"
#include "worker/members.h"

/* --- what Jansson says ---------------------------------------------------- */

struct text {
    const char *bytes;
    size_t len;
    bool is_object;
    enum json_error_code code; /* why not, as far as Jansson knows */
};

/* It recurses, at most as deep as our own scanner allows. */
static void ask_jansson(void *argument)
{
    struct text *text = argument;
    json_error_t error;
    json_t *root = json_loadb(text->bytes, text->len,
                              JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    text->is_object = json_is_object(root);
    text->code = root ? json_error_unknown : json_error_code(&error);
    json_decref(root);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_in_number(char byte)
{
    return is_digit(byte) || (byte && strchr("+-.eE", byte));
}

/* Makes every number of valid JSON a 0, and white space of the rest of it. */
static void flatten_numbers(char *at, const char *end)
{
    bool is_string = false;
    while (at < end) {
        if (is_string && *at == '\\') {
            at += 2;
        } else if (!is_string && (is_digit(*at) || *at == '-')) {
            *at++ = '0';
            while (at < end && is_in_number(*at))
                *at++ = ' ';
        } else {
            is_string ^= *at == '"';
            at++;
        }
    }
}

/* Jansson can't read numbers beyond what a double holds, which are valid all
 * the same: it is asked about the text without them. */
static int validate_without_numbers(struct text *text)
{
    char *copy = malloc(text->len);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text->bytes, text->len);
    flatten_numbers(copy, copy + text->len);
    text->bytes = copy;
    coro_call_on_loop_stack(ask_jansson, text);
    free(copy);
    return text->is_object ? 0 : -EINVAL;
}

/* The text is valid in the eyes of our scanner. */
static int validate(const char *bytes, size_t len)
{
    struct text text = {.bytes = bytes, .len = len};
    coro_call_on_loop_stack(ask_jansson, &text);
    if (text.is_object)
        return 0;
    if (text.code == json_error_numeric_overflow)
        return validate_without_numbers(&text);
    /* It does not always say when it had no memory, but then says nothing. */
    if (text.code == json_error_unknown ||
        text.code == json_error_out_of_memory)
        return -ENOMEM;
    return -EINVAL;
}

/* --- the change ----------------------------------------------------------- */

struct change {
    const struct splice_member *members;
    size_t nmembers;
    size_t nleft[SPLICE_MAX_MEMBERS]; /* how often each is still to come */
    bool is_there[SPLICE_MAX_MEMBERS];
    struct coro_buf *out;
    bool is_first; /* nothing has been written into the object yet */
    int status;    /* of the first append that failed, or 0 */
};

/* Which of the members to change @member is; nmembers when it is none. */
static size_t find(const struct change *change, const struct member *member)
{
    size_t i = 0;
    while (i < change->nmembers &&
           !member_is_named(member, change->members[i].name))
        i++;
    return i;
}

/* Returns 0, or -EINVAL when the bytes are no object. */
static int count(struct change *change, const char *bytes, size_t len)
{
    struct members walk;
    struct member member;
    if (!members_begin(&walk, bytes, len))
        return -EINVAL;
    int status;
    while ((status = members_next(&walk, &member)) == 1) {
        size_t i = find(change, &member);
        if (i == change->nmembers)
            continue;
        change->nleft[i]++;
        change->is_there[i] = true;
    }
    return status < 0 ? -EINVAL : 0;
}

static void put(struct change *change, const char *bytes, size_t len)
{
    if (change->status == 0)
        change->status = coro_buf_append(change->out, bytes, len);
}

static void put_between(struct change *change, const char *from, const char *to)
{
    put(change, from, (size_t)(to - from));
}

static void separate(struct change *change)
{
    if (!change->is_first)
        put(change, ",", 1);
    change->is_first = false;
}

/* Writes a member as it was, with its new value, or not at all. */
static void write_member(struct change *change, const struct member *member)
{
    const char *end = member->whole.at + member->whole.len;
    size_t i = find(change, member);
    if (i == change->nmembers) {
        separate(change);
        put_between(change, member->whole.at, end);
        return;
    }
    const struct splice_member *new = &change->members[i];
    if (--change->nleft[i] > 0 || !new->value)
        return;
    separate(change);
    put_between(change, member->whole.at, member->value.at);
    put(change, new->value, new->value_len);
    put_between(change, member->value.at + member->value.len, end);
}

static void add_member(struct change *change, const struct splice_member *new)
{
    separate(change);
    if (change->status == 0)
        change->status = coro_buf_append_json_string(change->out, new->name,
                                                     strlen(new->name));
    put(change, ":", 1);
    put(change, new->value, new->value_len);
}

/* The text is valid, as count() has found. */
static void write_changed(struct change *change, const char *bytes, size_t len)
{
    struct members walk;
    struct member member;
    bool is_object = members_begin(&walk, bytes, len);
    ensure(is_object);
    const char *inside = walk.at;
    put_between(change, bytes, inside);
    change->is_first = true;
    bool is_empty = true;
    while (members_next(&walk, &member) == 1) {
        write_member(change, &member);
        is_empty = false;
    }
    const char *brace = walk.at - 1;
    if (is_empty)
        put_between(change, inside, brace);
    for (size_t i = 0; i < change->nmembers; i++)
        if (!change->is_there[i] && change->members[i].value)
            add_member(change, &change->members[i]);
    put_between(change, brace, bytes + len);
}

int splice(const char *bytes, size_t len, const struct splice_member *members,
           size_t nmembers, struct coro_buf *out)
{
    ensure(nmembers <= SPLICE_MAX_MEMBERS);
    struct change change = {
        .members = members, .nmembers = nmembers, .out = out};
    int status = count(&change, bytes, len);
    if (status == 0)
        status = validate(bytes, len);
    if (status < 0)
        return status;
    size_t before = out->len;
    write_changed(&change, bytes, len);
    if (change.status < 0)
        coro_buf_truncate(out, before);
    return change.status;
}
