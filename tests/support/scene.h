/*
 * What most end-to-end tests begin with: a Redis of their own, `corq run`
 * beside it, and questions about what became of the jobs.
 *
 *     static void a_job_runs(void **state)
 *     {
 *         struct scene *scene = *state;
 *         scene_run(scene, "--concurrency", "1");
 *         redis_do(&scene->redis, "LPUSH queue 0.1");
 *         assert_true(scene_sees(scene, "Done 0.1"));
 *     }
 *
 *     cmocka_unit_test_setup_teardown(a_job_runs, scene_open, scene_close)
 *
 * scene_close() ends whatever the test has started, also when it failed.
 */
#ifndef TESTS_SUPPORT_SCENE_H
#define TESTS_SUPPORT_SCENE_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/notify_socket.h"
#include "tests/support/program.h"
#include "tests/support/proxy.h"
#include "tests/support/redis_server.h"
#include "tests/support/wait.h"

struct scene {
    struct redis_server redis;
    struct program corq;
    struct program second; /* another one, where a test needs two */
    struct notify_socket notify;
    struct proxy *proxy; /* before the server, or NULL */
    char proxy_url[48];
};

/* A setup function of cmocka: a scene with a server that runs. */
int scene_open(void **state);

/* A setup function of cmocka: the server has a place but is not started. */
int scene_open_without_redis(void **state);

/* A setup function of cmocka: a scene with a server, and a proxy before it that
 * programs may be sent to. */
int scene_open_with_proxy(void **state);

/* A teardown function of cmocka. */
int scene_close(void **state);

/* The words before those that a test adds. */
#define SCENE_RUN(scene) \
    "run", "--redis", redis_url(&(scene)->redis), "--delivery", "at-most-once"

/* Starts `corq run` with more arguments, any number but none, and waits until
 * it is ready. */
#define scene_run(scene, ...) \
    scene_run_as(&(scene)->corq, PROGRAM_ARGS(SCENE_RUN(scene), __VA_ARGS__))

/** Starts @program and waits until it says that it is ready. */
void scene_run_as(struct program *program, const char *const *arguments);

/** Waits for a line with @text in the log of corq; see program.h. */
bool scene_sees(struct scene *scene, const char *text);

/** Waits for @nlines lines with @text in the log of corq. */
bool scene_sees_lines(struct scene *scene, const char *text, size_t nlines);

/** Asks corq to end and returns its exit status. */
int scene_end(struct scene *scene);

/**
 * Pushes @count jobs for the handler `sleep`, each a number of its own: @prefix
 * and five digits that count from 00001.
 */
void scene_push_sleeps(struct scene *scene, const char *queue,
                       const char *prefix, size_t count);

/** How many jobs wait in @queue. */
size_t scene_count_waiting(struct scene *scene, const char *queue);

/** How many clients wait in a blocking command at the server. */
size_t scene_count_blocked(struct scene *scene);

/** Waits until at most @most jobs wait in @queue. */
bool scene_sees_waiting(struct scene *scene, const char *queue, size_t most);

/** How many jobs were set aside in corq:dead. */
size_t scene_count_dead(struct scene *scene);

/** Waits until @count jobs are in corq:dead. */
bool scene_sees_dead(struct scene *scene, size_t count);

/**
 * The entry of corq:dead at @index, as text, or NULL when there is none.
 * Ownership: free().
 */
char *scene_dead_entry(struct scene *scene, size_t index);

/**
 * True when the entry at @index has exactly this payload, and @error somewhere
 * in it. Prints the entry when not.
 */
bool scene_dead_is(struct scene *scene, size_t index, const void *payload,
                   size_t len, const char *error);

#endif
