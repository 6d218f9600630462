/*
 * Process numbers that come again: of one that has died, of a container that
 * was cloned. Who is who goes by the random part, so nobody is taken for dead
 * or alive because of somebody else.
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

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis), "--lease", "3"

#define RECOVERED     "given back, of a process that is gone"
#define RANDOM_DIGITS 16

/* host:number:random, as the log of one that is ready tells it. */
static void read_identity(struct program *program, char identity[static 128])
{
    const char *at = strstr(program_log(program), "(at-least-once, ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "(at-least-once, %127[^)])", identity), 1);
}

/* Leaves the host and the number. */
static void cut_random(char *identity)
{
    char *colon = strrchr(identity, ':');
    assert_non_null(colon);
    assert_int_equal(strlen(colon + 1), RANDOM_DIGITS);
    *colon = '\0';
}

/* Half of the jobs become those of a dead one of the same host and number: some
 * had been started by it, some were only on their way. */
static void leave_to_the_dead(struct scene *scene, const char *name,
                              size_t njobs)
{
    for (size_t i = 0; i < njobs; i++) {
        char field[24];
        char *job = redis_text(&scene->redis, "RPOP queue");
        snprintf(field, sizeof field, "%016zu", i + 1);
        if (i % 2)
            redis_do(&scene->redis,
                     "HSET corq:inflight:%s:00000000000000aa:queue %s %s", name,
                     field, job);
        else
            redis_do(&scene->redis,
                     "LPUSH corq:inbox:%s:00000000000000aa:queue %s", name,
                     job);
        free(job);
    }
}

static void the_dead_are_not_taken_for_the_living(void **state)
{
    struct scene *scene = *state;
    struct load load;
    char name[128];
    scene_run_as(&scene->corq, PROGRAM_ARGS(RUN(scene), "--queue", "another"));
    load_push(&load, scene, 200);
    read_identity(&scene->corq, name);
    cut_random(name);
    leave_to_the_dead(scene, name, 100);
    scene_run_as(&scene->second, PROGRAM_ARGS(RUN(scene)));
    load_judge(&load, (struct verdict){.row = VERDICT_IDENTITY,
                                       .note = "the number of a dead one"});
    assert_true(program_count_lines(&scene->corq, RECOVERED) > 0);
}

/* --- containers ----------------------------------------------------------- */

static void start_contained(struct program *program,
                            const char *const *arguments)
{
    program_start_with(
        program,
        &(struct program_options){.arguments = arguments,
                                  .is_contained = program_can_be_contained()});
    assert_true(program_wait_for_line(program, "ready: ", PATIENCE_MS));
}

/* Where namespaces are not allowed, they have different numbers, and the rest
 * is tried all the same. */
static void clones_are_told_apart(void **state)
{
    struct scene *scene = *state;
    struct load load;
    char names[2][128];
    load_push(&load, scene, test_scale(4000, 600));
    const char *const *arguments =
        PROGRAM_ARGS(RUN(scene), "--concurrency", "50");
    start_contained(&scene->corq, arguments);
    start_contained(&scene->second, arguments);
    read_identity(&scene->corq, names[0]);
    read_identity(&scene->second, names[1]);
    assert_string_not_equal(names[0], names[1]);
    cut_random(names[0]);
    cut_random(names[1]);
    bool are_clones = strcmp(names[0], names[1]) == 0;
    assert_true(are_clones || !program_can_be_contained());
    load_see_progress(&load, 1, 3);
    program_kill(&scene->corq);
    load_enter(&load, &scene->corq);
    load_judge(&load,
               (struct verdict){.row = VERDICT_IDENTITY,
                                .most_twice = 50,
                                .note = are_clones ? "one of two clones killed"
                                                   : "one of two killed"});
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(the_dead_are_not_taken_for_the_living),
        scene_test(clones_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
