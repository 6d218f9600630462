#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/random.h"
#include "tests/fuzz/codec.h"
#include "tests/support/scale.h"
#include "worker/scan.h"

/* The corpus is the fuzzer's, found from the root of the project. */
#define CORPUS     "tests/fuzz/corpus"
#define NITEMS_MAX 256
#define ITEM_BYTES 4096

static struct item {
    char name[NAME_MAX + 1];
    char bytes[ITEM_BYTES];
    size_t len;
} items[NITEMS_MAX];

static size_t nitems;

static void load_item(const char *name)
{
    char path[sizeof CORPUS + 1 + NAME_MAX];
    snprintf(path, sizeof path, CORPUS "/%s", name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_true(nitems < NITEMS_MAX);
    struct item *item = &items[nitems++];
    snprintf(item->name, sizeof item->name, "%s", name);
    item->len = fread(item->bytes, 1, sizeof item->bytes, file);
    assert_true(item->len < sizeof item->bytes);
    fclose(file);
}

static int by_name(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    return strcmp(x->name, y->name);
}

/* In the order of their names, so that every run is the same. */
static int load_corpus(void **state)
{
    (void)state;
    DIR *folder = opendir(CORPUS);
    assert_non_null(folder);
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            load_item(entry->d_name);
    closedir(folder);
    qsort(items, nitems, sizeof *items, by_name);
    return nitems > 0 ? 0 : -1;
}

/* Of a copy whose end AddressSanitizer watches. */
static const char *check_copy(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    const char *wrong = codec_check(copy, len);
    free(copy);
    return wrong;
}

static void show(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        print_error(bytes[i] >= ' ' && bytes[i] <= '~' ? "%c" : "\\x%02x",
                    (unsigned char)bytes[i]);
    print_error("\n");
}

static void all_is_true_of_the_corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < nitems; i++) {
        const char *wrong = check_copy(items[i].bytes, items[i].len);
        if (wrong)
            fail_msg("%s: %s", items[i].name, wrong);
    }
}

static void all_is_true_of_every_beginning_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < nitems; i++) {
        /* A beginning is told from the next one by few properties only. */
        size_t step = items[i].len > 512 ? 64 : test_scale(1, 8);
        for (size_t len = 0; len < items[i].len; len += step) {
            const char *wrong = check_copy(items[i].bytes, len);
            if (wrong)
                fail_msg("%s to %zu: %s", items[i].name, len, wrong);
        }
    }
}

/* What mutations put in: bytes that mean something in JSON. */
static const char spice[] = "{}[]\":,\\u0dD8ctfn-+.eE1 \t\n\x01\x7f\xc3\xa9\xed"
                            "\xa0\xf4\x80\xff";

/* Some bytes of another item, at some place. */
static size_t graft(struct coro_rng *rng, char *text, size_t len)
{
    const struct item *other = &items[coro_rng_below(rng, nitems)];
    size_t from = (size_t)coro_rng_below(rng, other->len + 1);
    size_t n = (size_t)coro_rng_below(rng, 40);
    if (n > other->len - from)
        n = other->len - from;
    size_t at = (size_t)coro_rng_below(rng, len + 1);
    if (len + n > ITEM_BYTES)
        return len;
    memmove(text + at + n, text + at, len - at);
    memcpy(text + at, other->bytes + from, n);
    return len + n;
}

/* Changes, removes, repeats or moves a few bytes; returns the new length. */
static size_t mutate(struct coro_rng *rng, char *text, size_t len)
{
    for (uint64_t n = 1 + coro_rng_below(rng, 3); n > 0 && len > 1; n--) {
        size_t at = (size_t)coro_rng_below(rng, len);
        size_t from = (size_t)coro_rng_below(rng, len);
        char byte = spice[coro_rng_below(rng, sizeof spice)];
        switch (coro_rng_below(rng, 5)) {
        case 0:
            text[at] = byte;
            break;
        case 1:
            memmove(text + at, text + at + 1, --len - at);
            break;
        case 2:
            len = graft(rng, text, len);
            break;
        case 3:
            if (len == ITEM_BYTES)
                break;
            memmove(text + at + 1, text + at, len++ - at);
            text[at] = byte;
            break;
        default:
            text[at] = text[from];
            break;
        }
    }
    return len;
}

static void all_is_true_of_mutations_of_it(void **state)
{
    (void)state;
    static char text[ITEM_BYTES];
    struct coro_rng rng;
    coro_rng_init(&rng, 20240905);
    size_t nrounds = test_scale(20000, 1000);
    size_t nobjects = 0;
    for (size_t round = 0; round < nrounds; round++) {
        const struct item *item = &items[coro_rng_below(&rng, nitems)];
        memcpy(text, item->bytes, item->len);
        size_t len = mutate(&rng, text, item->len);
        const char *wrong = check_copy(text, len);
        if (wrong) {
            show(text, len);
            fail_msg("round %zu, of %s: %s", round, item->name, wrong);
        }
        nobjects += scan_find(text, len, NULL, 0) == 0;
    }
    /* Both answers were seen often, or this would have shown little. */
    assert_in_range(nobjects, nrounds / 10, nrounds * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_true_of_the_corpus),
        cmocka_unit_test(all_is_true_of_every_beginning_of_it),
        cmocka_unit_test(all_is_true_of_mutations_of_it),
    };
    return cmocka_run_group_tests(tests, load_corpus, NULL);
}
