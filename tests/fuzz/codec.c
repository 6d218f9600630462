#include "tests/fuzz/codec.h"

#include "tests/fuzz/oracle.h"

/* FNV-1a: the same bytes are always tried in the same way. */
static uint64_t hash(const char *bytes, size_t len)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        value = (value ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return value;
}

const char *codec_check(const char *bytes, size_t len)
{
    uint64_t seed = hash(bytes, len);
    struct oracle oracle;
    oracle_init(&oracle, bytes, len);
    const char *wrong = check_scan(&oracle);
    if (!wrong)
        wrong = check_splice(&oracle, seed);
    if (!wrong)
        wrong = check_record(&oracle, seed);
    oracle_release(&oracle);
    return wrong;
}
