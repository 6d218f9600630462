/*
 * What a job that holds the worker gets to feel of being watched: nothing. The
 * handlers are no shipped ones, and log whether something has disturbed them.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/core/sanitize.h"
#include "master/exit_status.h"
#include "tests/integration/serve_stage.h"
#include "tests/support/redis_server.h"

#define LOG_BYTES 65536

#define HELD   "a job has held the worker for"
#define LET_GO "a job has let go of the worker after"

static struct {
    struct redis_server redis;
    pid_t pid;
    int status;
    int log_fd; /* a file in memory: the child's standard error */
    int pipe[2];
    char log[LOG_BYTES];
} stage;

/* --- in the child --------------------------------------------------------- */

#define SEEN __attribute__((noinline))

static enum job_outcome tell(const struct handler_call *call, bool is_good)
{
    job_log(call->job, is_good ? "undisturbed" : "disturbed");
    return JOB_OUTCOME_DONE;
}

/* The subject of these tests, which wait for other things themselves. */
static int (*const rest)(const struct timespec *time,
                         struct timespec *ret_left) = nanosleep;

static SEEN enum job_outcome doze(const struct handler_call *call)
{
    const struct timespec time = {.tv_sec = 2, .tv_nsec = 500000000};
    int64_t begin_ns = coro_now_ns();
    int result = rest(&time, NULL);
    return tell(call, result == 0 && coro_now_ns() - begin_ns >= 2500000000);
}

static SEEN enum job_outcome wait_in_poll(const struct handler_call *call)
{
    struct pollfd polled = {.fd = stage.pipe[0], .events = POLLIN};
    return tell(call, poll(&polled, 1, -1) == 1);
}

static SEEN enum job_outcome wait_in_read(const struct handler_call *call)
{
    char byte;
    return tell(call, read(stage.pipe[0], &byte, 1) == 1);
}

/* In many sleeps, none of which may be cut short. */
static SEEN enum job_outcome nap(const struct handler_call *call)
{
    const struct timespec moment = {.tv_nsec = 3000000};
    int64_t end_ms = coro_now_ms() + 2500;
    bool is_good = true;
    while (coro_now_ms() < end_ms)
        is_good = rest(&moment, NULL) == 0 && is_good;
    return tell(call, is_good);
}

static SEEN enum job_outcome spin_on(const struct handler_call *call)
{
    while (coro_now_ns() > 0)
        ;
    return tell(call, false);
}

static void run_service(const struct handler_kind *kind,
                        const char *const *words)
{
    struct service_result result;
    dup2(stage.log_fd, STDERR_FILENO);
    serve(words, kind, &result);
    _exit(1);
}

/* --- outside -------------------------------------------------------------- */

static void start(const struct handler_kind *kind, const char *const *words)
{
    stage.pid = serve_fork();
    assert_true(stage.pid >= 0);
    if (stage.pid == 0)
        run_service(kind, words);
    redis_do(&stage.redis, "LPUSH queue job");
}

static bool has_line(void *text)
{
    ssize_t n = pread(stage.log_fd, stage.log, LOG_BYTES - 1, 0);
    stage.log[n > 0 ? n : 0] = '\0';
    return strstr(stage.log, text);
}

static void see(const char *text)
{
    char line[64];
    snprintf(line, sizeof line, "%s", text);
    if (!wait_until(has_line, line, PATIENCE_MS))
        fail_msg("\"%s\" is not in:\n%s", text, stage.log);
}

#define KIND(function) \
    (&(const struct handler_kind){.name = #function, .run = (function)})

#define WORDS(...)                                                        \
    SERVE_WORDS("--redis", redis_url(&stage.redis), "--concurrency", "5", \
                __VA_ARGS__)

static int set_up(void **state)
{
    (void)state;
    stage.log_fd = memfd_create("log", MFD_CLOEXEC);
    if (stage.log_fd < 0 || pipe(stage.pipe) < 0)
        return -1;
    redis_server_start(&stage.redis, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (stage.pid > 0) {
        kill(stage.pid, SIGKILL);
        waitpid(stage.pid, NULL, 0);
    }
    stage.pid = 0;
    close(stage.log_fd);
    close(stage.pipe[0]);
    close(stage.pipe[1]);
    redis_server_release(&stage.redis);
    return 0;
}

/* What the kernel tells of a program that a checker runs is what that does. */
static void see_of_kernel(const char *text)
{
#ifndef CORO_VALGRIND
    see(text);
#else
    (void)text;
#endif
}

static void a_job_that_sleeps_with_its_thread_sleeps_on(void **state)
{
    (void)state;
    start(KIND(doze), WORDS("--stall-warn", "300ms"));
    see(HELD);
    see_of_kernel("sleeps_in=clock_nanosleep calls=");
    see(LET_GO);
    see(" undisturbed");
}

static void so_does_one_that_sleeps_again_and_again(void **state)
{
    (void)state;
    start(KIND(nap), WORDS("--stall-warn", "300ms"));
    see(HELD);
    see(LET_GO);
    see(" undisturbed");
}

static void a_job_that_polls_goes_on_polling(void **state)
{
    (void)state;
    start(KIND(wait_in_poll), WORDS("--stall-warn", "300ms"));
    see(HELD);
    see_of_kernel("poll calls=");
    assert_int_equal(write(stage.pipe[1], "x", 1), 1);
    see(LET_GO);
    see(" undisturbed");
}

static void a_job_that_reads_is_asked_and_reads_on(void **state)
{
    (void)state;
    start(KIND(wait_in_read), WORDS("--stall-warn", "300ms"));
    see(HELD);
    see_of_kernel("sleeps_in=read calls=");
/* That checker delivers signals only when such a call has returned. */
#ifndef CORO_TSAN
    see_of_kernel("wait_in_read < ");
#endif
    assert_int_equal(write(stage.pipe[1], "x", 1), 1);
    see(LET_GO);
    see(" undisturbed");
}

static bool has_ended(void *argument)
{
    (void)argument;
    if (stage.pid > 0 && waitpid(stage.pid, &stage.status, WNOHANG) > 0)
        stage.pid = 0;
    return stage.pid == 0;
}

static void a_process_that_ends_so_has_a_status_of_its_own(void **state)
{
    (void)state;
    start(KIND(spin_on), WORDS("--stall-warn", "0", "--stall-abort", "500ms"));
    assert_true(wait_until(has_ended, NULL, PATIENCE_MS));
    assert_true(WIFEXITED(stage.status));
    assert_int_equal(WEXITSTATUS(stage.status), COMMAND_EXIT_STALLED);
    see("ending this process");
    see_of_kernel("spin_on < ");
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STAGED(a_job_that_sleeps_with_its_thread_sleeps_on),
        STAGED(so_does_one_that_sleeps_again_and_again),
        STAGED(a_job_that_polls_goes_on_polling),
        STAGED(a_job_that_reads_is_asked_and_reads_on),
        STAGED(a_process_that_ends_so_has_a_status_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
