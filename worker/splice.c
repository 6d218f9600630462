#include "worker/splice.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/ensure.h"
#include "worker/members.h"

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
    if (status < 0)
        return status;
    size_t before = out->len;
    write_changed(&change, bytes, len);
    if (change.status < 0)
        coro_buf_truncate(out, before);
    return change.status;
}
