/*
 * An animation beside a slow function, by a coroutine or, with --thread, by a
 * thread. (The animation itself goes to standard error.)
 *
 * A thread can't be ended from outside: it has to look at a flag again and
 * again. A task can: in Python
 *
 *     spinner.cancel()                             coro_task_cancel(spinner)
 *
 * raises CancelledError at the await where the spinner stands, and here it makes
 * coro_sleep() return -ECANCELED there. What the task does about it is its own
 * business: this one catches it, tidies up, and ends as if nothing had happened.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "examples/example.h"

static int64_t unit_ms;

static void draw(int frame)
{
    fprintf(stderr, "%c thinking!\r", "|/-\\"[frame % 4]);
}

static void wipe(void)
{
    fprintf(stderr, "           \r");
    puts("spinner cancelled after spinning");
}

/* --- coroutines ----------------------------------------------------------- */

static int spin(void *argument)
{
    (void)argument;
    for (int frame = 0; coro_sleep(unit_ms / 10) == 0; frame++)
        draw(frame);
    wipe();
    return 0;
}

static int slow_function(void)
{
    int status = coro_sleep(3 * unit_ms);
    return status < 0 ? status : 42;
}

static int supervise(void *argument)
{
    (void)argument;
    struct coro_task *spinner;
    int status = coro_spawn(coro_loop_current(), spin, NULL, NULL, &spinner);
    if (status < 0)
        return status;
    int answer = slow_function();
    puts(coro_task_cancel(spinner) ? "True" : "False");
    coro_await(spinner, CORO_NEVER);
    coro_task_unref(spinner);
    return answer;
}

static int answer_with_coroutines(void)
{
    int answer;
    int status = coro_run(supervise, NULL, &answer);
    return status < 0 ? status : answer;
}

/* --- threads -------------------------------------------------------------- */

static void sleep_ms(int64_t delay_ms)
{
    nanosleep(&(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000},
              NULL);
}

static void *spin_in_thread(void *argument)
{
    atomic_bool *go = argument;
    for (int frame = 0; atomic_load(go); frame++) {
        draw(frame);
        sleep_ms(unit_ms / 10);
    }
    wipe();
    return NULL;
}

static int answer_with_a_thread(void)
{
    atomic_bool go = true;
    pthread_t spinner;
    int error = pthread_create(&spinner, NULL, spin_in_thread, &go);
    if (error)
        return -error;
    sleep_ms(3 * unit_ms); /* the slow function: it blocks this thread */
    puts(atomic_exchange(&go, false) ? "True" : "False");
    pthread_join(spinner, NULL);
    return 42;
}

int main(int argc, char **argv)
{
    bool by_thread = argc > 1 && strcmp(argv[argc - 1], "--thread") == 0;
    unit_ms = example_unit_ms(argc, argv);
    int answer = by_thread ? answer_with_a_thread() : answer_with_coroutines();
    if (answer < 0)
        return 1;
    printf("Answer %d\n", answer);
    return 0;
}
