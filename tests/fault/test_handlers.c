/*
 * Handlers that fail: tried again later and later, then set aside with the
 * bytes that were pushed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "coro/base/random.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"
#include "worker/envelope.h"

#define NRETRIES 3
#define MAX_LEN  100

struct bytes {
    char data[MAX_LEN];
    size_t len;
};

/* Any bytes; the first four tell them apart. */
static void make_payloads(struct bytes *payloads, size_t n)
{
    struct coro_rng rng;
    coro_rng_init(&rng, 5);
    for (size_t i = 0; i < n; i++) {
        payloads[i].len = 4 + (size_t)coro_rng_below(&rng, MAX_LEN - 4);
        for (size_t j = 0; j < payloads[i].len; j++)
            payloads[i].data[j] = (char)coro_rng_below(&rng, 256);
        for (size_t j = 0; j < 4; j++)
            payloads[i].data[j] = (char)(i >> (8 * j));
    }
}

/* What the entry of the dead set says was pushed: one of these, whole? */
static bool is_whole(const char *entry, size_t len,
                     const struct bytes *payloads, bool *are_found, size_t n)
{
    struct coro_buf key, found;
    coro_buf_init(&key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&found, CORO_BUF_NO_LIMIT);
    uint32_t number = 0;
    bool is_read =
        envelope_read(entry, len, &key, &found) == 0 && found.len >= 4;
    for (size_t i = 0; is_read && i < 4; i++)
        number |= (uint32_t)(unsigned char)found.data[i] << (8 * i);
    bool is_it = is_read && number < n && !are_found[number] &&
                 found.len == payloads[number].len &&
                 memcmp(found.data, payloads[number].data, found.len) == 0;
    if (is_it)
        are_found[number] = true;
    coro_buf_release(&key);
    coro_buf_release(&found);
    return is_it;
}

/* How many were set aside with the very bytes that were pushed. */
static size_t count_whole(struct scene *scene, const struct bytes *payloads,
                          size_t n)
{
    bool *are_found = calloc(n, sizeof *are_found);
    assert_non_null(are_found);
    size_t nwhole = 0;
    redisReply *reply = redis_reply(&scene->redis, "ZRANGE corq:dead 0 -1");
    for (size_t i = 0; i < reply->elements; i++)
        nwhole += is_whole(reply->element[i]->str, reply->element[i]->len,
                           payloads, are_found, n);
    freeReplyObject(reply);
    free(are_found);
    return nwhole;
}

/* How long the log says that retry @number waits, in the middle of all jobs. */
static double mean_delay(struct scene *scene, size_t number)
{
    double sum = 0;
    size_t n = 0;
    char field[24];
    snprintf(field, sizeof field, "retries=%zu", number);
    const char *at = program_log(&scene->corq);
    while ((at = strstr(at, "to be retried in "))) {
        at += strlen("to be retried in ");
        if (!memmem(at, strcspn(at, "\n"), field, strlen(field)))
            continue;
        sum += strtod(at, NULL);
        n++;
    }
    assert_true(n > 0);
    return sum / (double)n;
}

static void what_fails_is_tried_again_and_set_aside_unchanged(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale_is_full() ? 5000 : test_scale(1000, 200);
    struct bytes *payloads = calloc(njobs, sizeof *payloads);
    assert_non_null(payloads);
    make_payloads(payloads, njobs);
    for (size_t i = 0; i < njobs; i++)
        redis_do(&scene->redis, "LPUSH queue %b", payloads[i].data,
                 payloads[i].len);
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--handler", "fail", "--retry", "3",
                              "--retry-delay", "exp:400ms:10s"));
    assert_true(scene_sees_dead(scene, njobs));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    size_t nretried = program_count_lines(&scene->corq, "to be retried in");
    double delays[NRETRIES];
    for (size_t i = 0; i < NRETRIES; i++)
        delays[i] = mean_delay(scene, i);
    char note[80];
    snprintf(note, sizeof note, "3 retries after %.1f, %.1f, %.1f s", delays[0],
             delays[1], delays[2]);
    verdict_give(&(struct verdict){
        .row = VERDICT_HANDLER_FAILS,
        .njobs = njobs,
        .nlost = njobs - count_whole(scene, payloads, njobs),
        .nstuck = verdict_count_stuck(&scene->redis, QUEUES("queue")),
        .nleft = verdict_count_left(&scene->redis),
        .note = note,
    });
    assert_int_equal(nretried, NRETRIES * njobs);
    assert_true(delays[0] < delays[1] && delays[1] < delays[2]);
    free(payloads);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(what_fails_is_tried_again_and_set_aside_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
