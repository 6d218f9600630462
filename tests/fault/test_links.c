/*
 * Links that are slow, and such that nobody is let in by. What is cut is in
 * tests/e2e/test_cuts.c, what vanishes in test_vanishing.c.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/load.h"
#include "tests/support/scale.h"

#define start(program, ...) \
    scene_run_as(program, PROGRAM_ARGS("run", __VA_ARGS__))

/* --- slow ----------------------------------------------------------------- */

static void byte_by_byte_it_is_slower_and_right(void **state)
{
    struct scene *scene = *state;
    struct load load;
    load_push(&load, scene, test_scale(2000, 200));
    proxy_set_mode(scene->proxy, PROXY_BYTEWISE);
    start(&scene->corq, "--redis", scene->proxy_url, "--concurrency", "50");
    load_judge(&load,
               (struct verdict){.row = VERDICT_SLOW, .note = "byte by byte"});
}

static void on_a_slow_link_it_is_slower_and_right(void **state)
{
    struct scene *scene = *state;
    struct load load;
    load_push(&load, scene, test_scale(1000, 200));
    proxy_set_speed(scene->proxy, 50000, 40);
    start(&scene->corq, "--redis", scene->proxy_url, "--concurrency", "50");
    load_judge(&load, (struct verdict){.row = VERDICT_SLOW,
                                       .note = "50 kB/s, 40 ms apart"});
    assert_int_equal(program_count_lines(&scene->corq, "trying again"), 0);
}

/* --- refused -------------------------------------------------------------- */

/* The first tries come soon; those that count come later. */
static void it_knocks_no_more_than_once_a_second(void **state)
{
    struct scene *scene = *state;
    struct load load;
    int64_t window_ms = test_scale_is_full() ? 60000 : 12000;
    load_push(&load, scene, test_scale(3000, 500));
    start(&scene->corq, "--redis", scene->proxy_url, "--concurrency", "50");
    load_see_progress(&load, 1, 3);
    size_t nbefore = proxy_naccepted(scene->proxy);
    proxy_set_mode(scene->proxy, PROXY_RESET);
    proxy_cut(scene->proxy, PROXY_CUT_END);
    wait_out(4000);
    size_t nfirst = proxy_naccepted(scene->proxy);
    wait_out(window_ms);
    size_t nlater = proxy_naccepted(scene->proxy) - nfirst;
    proxy_set_mode(scene->proxy, PROXY_PASS);
    assert_true(scene_sees_lines(scene, "redis: connected to", 2));
    char note[100];
    snprintf(note, sizeof note,
             "%zu tries in the first 4 s, then %.1f in ten seconds",
             nfirst - nbefore, (double)nlater * 10000 / (double)window_ms);
    load_judge(&load, (struct verdict){.row = VERDICT_REFUSED, .note = note});
    assert_in_range(nlater, 0, window_ms / 1000);
    assert_in_range(program_count_lines(&scene->corq, "trying again"), 1, 3);
}

/* Refused by the kernel, as when no server is there. */
static void refused_it_goes_on_when_it_is_let_in(void **state)
{
    struct scene *scene = *state;
    struct load load;
    load_push(&load, scene, test_scale(3000, 500));
    start(&scene->corq, "--redis", scene->proxy_url, "--concurrency", "50");
    load_see_progress(&load, 1, 3);
    proxy_set_mode(scene->proxy, PROXY_REFUSE);
    proxy_cut(scene->proxy, PROXY_CUT_RESET);
    assert_true(scene_sees(scene, "Connection refused"));
    proxy_set_mode(scene->proxy, PROXY_PASS);
    load_judge(&load, (struct verdict){.row = VERDICT_REFUSED});
}

#define link_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open_with_proxy, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        link_test(byte_by_byte_it_is_slower_and_right),
        link_test(on_a_slow_link_it_is_slower_and_right),
        link_test(it_knocks_no_more_than_once_a_second),
        link_test(refused_it_goes_on_when_it_is_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
