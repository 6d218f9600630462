#include "worker/scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/utf8.h"
#include "worker/json_escape.h"
#include "worker/members.h"

#define nitems(array) (sizeof(array) / sizeof((array)[0]))

static void keep_wanted(const struct member *member, struct scan_wanted *wanted,
                        size_t nwanted)
{
    /* The first byte tells most keys apart, at half the cost of the whole; but
     * not when it begins an escape, or is the second quote already. */
    char first = member->key.at[1];
    bool tells = first != '\\' && first != '"';
    for (size_t i = 0; i < nwanted; i++)
        if ((!tells || first == wanted[i].name[0]) &&
            member_is_named(member, wanted[i].name))
            wanted[i].value = member->value;
}

/* Walks to the end of @members. Returns 0, or -1 when they are no JSON. */
static int collect(struct members *members, struct scan_wanted *wanted,
                   size_t nwanted)
{
    struct member member;
    int status;
    while ((status = members_next(members, &member)) == 1)
        keep_wanted(&member, wanted, nwanted);
    return status;
}

static bool begins_with(struct scan_range range, char byte)
{
    return range.at && range.at[0] == byte;
}

int scan_job(const char *bytes, size_t len, struct scan_result *ret)
{
    struct members members;
    if (!members_begin(&members, bytes, len))
        return SCAN_RAW;

    enum { CLASS, ARGS, JID, RETRY, QUEUE, CORQ };

    struct scan_wanted found[] = {
        [CLASS] = {.name = "class"}, [ARGS] = {.name = "args"},
        [JID] = {.name = "jid"},     [RETRY] = {.name = "retry"},
        [QUEUE] = {.name = "queue"}, [CORQ] = {.name = "corq"},
    };
    if (collect(&members, found, nitems(found)) < 0)
        return SCAN_RAW;
    bool is_described = begins_with(found[CLASS].value, '"');
    if (!is_described && !begins_with(found[CORQ].value, '{'))
        return SCAN_RAW;
    *ret = (struct scan_result){
        .class = found[CLASS].value,
        .args = found[ARGS].value,
        .first_arg = members_first_element(found[ARGS].value),
        .jid = found[JID].value,
        .retry = found[RETRY].value,
        .queue = found[QUEUE].value,
        .corq = found[CORQ].value,
    };
    return is_described ? SCAN_DESCRIBED : SCAN_ENVELOPE;
}

static void forget(struct scan_wanted *wanted, size_t nwanted)
{
    for (size_t i = 0; i < nwanted; i++)
        wanted[i].value = (struct scan_range){0};
}

int scan_find(const char *bytes, size_t len, struct scan_wanted *wanted,
              size_t nwanted)
{
    forget(wanted, nwanted);
    struct members members;
    if (!members_begin(&members, bytes, len))
        return 1;
    if (collect(&members, wanted, nwanted) == 0)
        return 0;
    forget(wanted, nwanted);
    return 1;
}

/* Appends the text before the next escape, and what that stands for. */
static int decode_part(const char **at, const char *end, struct coro_buf *out)
{
    const char *plain = *at;
    const char *escape = memchr(plain, '\\', (size_t)(end - plain));
    *at = escape ? escape + 1 : end;
    const char *plain_end = escape ? escape : end;
    int status = coro_buf_append(out, plain, (size_t)(plain_end - plain));
    if (status < 0 || !escape)
        return status;
    int32_t code = json_take_escape(at, end);
    if (code < 0)
        return -EINVAL;
    char text[4];
    return coro_buf_append(out, text, coro_utf8_encode((uint32_t)code, text));
}

int scan_string_decode(struct scan_range range, struct coro_buf *out)
{
    if (!range.at || range.len < 2 || range.at[0] != '"')
        return -EINVAL;
    const char *at = range.at + 1;
    const char *end = range.at + range.len - 1;
    size_t before = out->len;
    int status = coro_buf_reserve(out, 0);
    while (at < end && status == 0)
        status = decode_part(&at, end, out);
    if (status < 0)
        coro_buf_truncate(out, before);
    return status;
}
