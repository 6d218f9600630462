#include <errno.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/ensure.h"
#include "coro/base/random.h"
#include "tests/fuzz/oracle.h"
#include "tests/fuzz/others.h"
#include "worker/splice.h"

#define NCHANGES 3

/* The name of some member of the object, or of none. */
static const char *pick_name(const struct oracle *oracle, struct coro_rng *rng)
{
    size_t pick =
        (size_t)coro_rng_below(rng, 1 + json_object_size(oracle->root));
    const char *name;
    json_t *value;
    json_object_foreach(oracle->root, name, value)
    {
        if (pick-- == 0)
            return name;
    }
    return "n\xc3\xa9w";
}

static size_t pick_changes(const struct oracle *oracle, struct coro_rng *rng,
                           struct splice_member changes[NCHANGES])
{
    static const char *const values[] = {
        "1", "\"\\u00e9\"", "[ { } ]",
        "1234567890123456789012345678901234567890", NULL};
    size_t n = 0;
    for (size_t i = 0; i < NCHANGES; i++) {
        const char *name = pick_name(oracle, rng);
        const char *value = values[coro_rng_below(rng, 5)];
        bool is_new = true;
        for (size_t j = 0; j < n; j++)
            is_new = is_new && strcmp(changes[j].name, name) != 0;
        if (is_new)
            changes[n++] =
                (struct splice_member){name, value, value ? strlen(value) : 0};
    }
    return n;
}

/* The members that were changed have their values, and no others went. */
static const char *check_changes(const struct oracle *before,
                                 const struct oracle *after,
                                 const struct splice_member *changes,
                                 size_t nchanges)
{
    if (!after->root)
        return "the result is no JSON";
    size_t size = json_object_size(before->root);
    for (size_t i = 0; i < nchanges; i++) {
        const char *name = changes[i].name;
        const char *value = changes[i].value;
        if (!others_member_is_set(before->bytes, before->len, after->bytes,
                                  after->len, name, value))
            return "a member did not get its value, or not in its place";
        size += value != NULL;
        size -= json_object_get(before->root, name) != NULL;
    }
    if (json_object_size(after->root) != size)
        return "the result has more members, or fewer";
    return NULL;
}

static const char *check_result(const struct oracle *before,
                                const struct coro_buf *out,
                                const struct splice_member *changes,
                                size_t nchanges)
{
    const char *names[NCHANGES];
    for (size_t i = 0; i < nchanges; i++)
        names[i] = changes[i].name;
    struct oracle after;
    oracle_init(&after, out->data, out->len);
    const char *wrong = check_changes(before, &after, changes, nchanges);
    if (!wrong && !others_are_same(before->bytes, before->len, out->data,
                                   out->len, names, nchanges))
        wrong = "the splice touched another member";
    oracle_release(&after);
    return wrong;
}

static bool is_unchanged_by_nothing(const struct oracle *oracle)
{
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status = splice(oracle->bytes, oracle->len, NULL, 0, &out);
    bool is_same = status == 0 && out.len == oracle->len &&
                   memcmp(out.data, oracle->bytes, out.len) == 0;
    coro_buf_release(&out);
    return is_same;
}

const char *check_splice(const struct oracle *oracle, uint64_t seed)
{
    struct coro_rng rng;
    coro_rng_init(&rng, seed);
    struct splice_member changes[NCHANGES];
    size_t nchanges = pick_changes(oracle, &rng, changes);
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status = splice(oracle->bytes, oracle->len, changes, nchanges, &out);
    ensure(status == 0 || status == -EINVAL);
    bool is_object = scan_find(oracle->bytes, oracle->len, NULL, 0) == 0;
    const char *wrong = NULL;
    if ((status == 0) != is_object)
        wrong = "the splice accepts what the scanner refuses, or the reverse";
    else if (is_object && !is_unchanged_by_nothing(oracle))
        wrong = "the splice changes what it was not asked to";
    else if (is_object)
        wrong = check_result(oracle, &out, changes, nchanges);
    coro_buf_release(&out);
    return wrong;
}
