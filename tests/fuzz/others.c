#include "tests/fuzz/others.h"

#include <string.h>

#include "coro/base/ensure.h"
#include "worker/members.h"

struct others {
    const char *const *names;
    size_t nnames;
};

static bool is_other(const struct others *others, const struct member *member)
{
    for (size_t i = 0; i < others->nnames; i++)
        if (member_is_named(member, others->names[i]))
            return false;
    return true;
}

/* The next member that is none of the names. Returns false at the end. */
static bool next(const struct others *others, struct members *walk,
                 struct member *ret)
{
    int status;
    while ((status = members_next(walk, ret)) == 1)
        if (is_other(others, ret))
            return true;
    ensure(status == 0);
    return false;
}

static bool is_same(const char *a, const char *a_end, const char *b,
                    const char *b_end)
{
    return a_end - a == b_end - b && memcmp(a, b, (size_t)(a_end - a)) == 0;
}

static bool is_same_range(struct scan_range a, struct scan_range b)
{
    return is_same(a.at, a.at + a.len, b.at, b.at + b.len);
}

bool others_are_same(const char *before, size_t before_len, const char *after,
                     size_t after_len, const char *const *names, size_t nnames)
{
    struct others others = {names, nnames};
    struct members a, b;
    if (!members_begin(&a, before, before_len) ||
        !members_begin(&b, after, after_len) ||
        !is_same(before, a.at, after, b.at))
        return false;
    struct member x, y;
    while (next(&others, &a, &x))
        if (!next(&others, &b, &y) || !is_same_range(x.whole, y.whole))
            return false;
    return !next(&others, &b, &y) &&
           is_same(a.at, before + before_len, b.at, after + after_len);
}

/* The last member @name, and how many there are. */
static size_t find_last(const char *bytes, size_t len, const char *name,
                        struct member *ret)
{
    struct members walk;
    struct member member;
    size_t n = 0;
    ensure(members_begin(&walk, bytes, len));
    while (members_next(&walk, &member) == 1) {
        if (!member_is_named(&member, name))
            continue;
        *ret = member;
        n++;
    }
    return n;
}

static const char *end_of(struct scan_range range)
{
    return range.at + range.len;
}

bool others_member_is_set(const char *before, size_t before_len,
                          const char *after, size_t after_len, const char *name,
                          const char *value)
{
    struct member x, y;
    size_t nbefore = find_last(before, before_len, name, &x);
    size_t nafter = find_last(after, after_len, name, &y);
    if (!value)
        return nafter == 0;
    if (nafter != 1 || y.value.len != strlen(value) ||
        memcmp(y.value.at, value, y.value.len) != 0)
        return false;
    return nbefore == 0 ||
           (is_same(x.whole.at, x.value.at, y.whole.at, y.value.at) &&
            is_same(end_of(x.value), end_of(x.whole), end_of(y.value),
                    end_of(y.whole)));
}
