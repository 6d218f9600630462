#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/io/fd.h"
#include "coro/sched/loop.h"
#include "tests/support/record.h"

static int fds[2]; /* a pipe */

static int open_pipe(void **state)
{
    (void)state;
    return pipe2(fds, O_CLOEXEC | O_NONBLOCK);
}

static void close_end(int end)
{
    if (fds[end] >= 0)
        close(fds[end]);
    fds[end] = -1;
}

static int close_pipe(void **state)
{
    (void)state;
    close_end(0);
    close_end(1);
    return 0;
}

static void play(coro_task_fn *script)
{
    int result = -1;
    assert_int_equal(coro_run(script, NULL, &result), 0);
    assert_as_expected();
}

static int write_later(void *argument)
{
    (void)argument;
    coro_sleep(2);
    expect_that(write(fds[1], "x", 1) == 1);
    return 0;
}

static int await_byte(void *argument)
{
    (void)argument;
    char byte = 0;
    coro_spawn(coro_loop_current(), write_later, NULL, NULL, NULL);
    expect_that(coro_fd_wait(fds[0], false, coro_after(60000)) == 0);
    expect_that(read(fds[0], &byte, 1) == 1 && byte == 'x');
    return 0;
}

static void a_byte_that_comes_later_ends_the_wait(void **state)
{
    (void)state;
    play(await_byte);
}

static int await_ready(void *argument)
{
    (void)argument;
    expect_that(coro_fd_wait(fds[1], true, coro_after(60000)) == 0);
    expect_that(write(fds[1], "x", 1) == 1);
    expect_that(coro_fd_wait(fds[0], false, coro_after(60000)) == 0);
    /* Nothing was read: it is as ready as before. */
    expect_that(coro_fd_wait(fds[0], false, coro_after(60000)) == 0);
    return 0;
}

static void what_is_ready_already_does_not_wait(void **state)
{
    (void)state;
    play(await_ready);
}

static int await_in_vain(void *argument)
{
    (void)argument;
    char bytes[4096] = {0};
    int64_t start_ms = coro_now_ms();
    expect_that(coro_fd_wait(fds[0], false, coro_after(10)) == -ETIMEDOUT);
    expect_that(coro_now_ms() - start_ms >= 10);
    while (write(fds[1], bytes, sizeof bytes) > 0)
        ;
    expect_that(coro_fd_wait(fds[1], true, coro_after(10)) == -ETIMEDOUT);
    return 0;
}

static void the_deadline_ends_the_wait(void **state)
{
    (void)state;
    play(await_in_vain);
}

static int wait_for_ever(void *argument)
{
    (void)argument;
    return coro_fd_wait(fds[0], false, CORO_NEVER);
}

static int cancel_wait(void *argument)
{
    (void)argument;
    struct coro_task *task;
    int result = 1;
    coro_spawn(coro_loop_current(), wait_for_ever, NULL, NULL, &task);
    coro_sleep(2);
    coro_task_cancel(task);
    expect_that(coro_task_wait(task, CORO_NEVER, &result) == 0);
    expect_that(result == -ECANCELED);
    coro_task_unref(task);
    /* The descriptor can be waited for again. */
    expect_that(write(fds[1], "x", 1) == 1);
    expect_that(coro_fd_wait(fds[0], false, coro_after(60000)) == 0);
    return 0;
}

static void a_cancelled_wait_leaves_the_descriptor_usable(void **state)
{
    (void)state;
    play(cancel_wait);
}

static int await_hang_up(void *argument)
{
    (void)argument;
    close_end(1);
    expect_that(coro_fd_wait(fds[0], false, coro_after(60000)) == 0);
    return 0;
}

static int await_error(void *argument)
{
    (void)argument;
    close_end(0);
    expect_that(coro_fd_wait(fds[1], true, coro_after(60000)) == 0);
    return 0;
}

static void a_hang_up_and_an_error_end_the_wait(void **state)
{
    play(await_hang_up);
    close_pipe(state);
    assert_int_equal(open_pipe(state), 0);
    play(await_error);
}

/* --- closing it afterwards ------------------------------------------------ */

/* True when one of this process's epolls watches @fd, as the kernel tells. */
static bool is_watched(int fd)
{
    char path[64], line[256];
    bool found = false;
    for (int i = 0; i < 64 && !found; i++) {
        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", i);
        FILE *file = fopen(path, "re");
        int watched = -1;
        while (file && !found && fgets(line, sizeof line, file))
            found = sscanf(line, "tfd: %d", &watched) == 1 && watched == fd;
        if (file)
            fclose(file);
    }
    return found;
}

/* The file stays open by the copy, and readable: were the loop still to watch
 * the closed descriptor, it would never sleep again. */
static int close_after_wait(void *argument)
{
    (void)argument;
    int closed = fds[0];
    int copy = dup(closed);
    expect_that(copy >= 0);
    expect_that(write(fds[1], "x", 1) == 1);
    expect_that(coro_fd_wait(closed, false, coro_after(60000)) == 0);
    close_end(0);
    coro_sleep(1);
    expect_that(!is_watched(closed));
    close(copy);
    return 0;
}

static void a_descriptor_may_be_closed_after_the_wait(void **state)
{
    (void)state;
    play(close_after_wait);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pipe, close_pipe)
    const struct CMUnitTest tests[] = {
        TEST(a_byte_that_comes_later_ends_the_wait),
        TEST(what_is_ready_already_does_not_wait),
        TEST(the_deadline_ends_the_wait),
        TEST(a_cancelled_wait_leaves_the_descriptor_usable),
        TEST(a_hang_up_and_an_error_end_the_wait),
        TEST(a_descriptor_may_be_closed_after_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
