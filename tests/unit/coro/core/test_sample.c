/*
 * What a thread does, as another one sees it: from outside, and by a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/core/sample.h"
#include "coro/core/sanitize.h"
#include "coro/core/symbol.h"
#include "coro/core/thread.h"
#include "tests/support/wait.h"

#define HANDLER_STACK_BYTES 65536

/* The thread that is looked at. */
static struct {
    pthread_t thread;
    struct coro_thread self;
    bool (*job)(int fd); /* false: something has disturbed it */
    bool has_handler_stack;
    atomic_bool is_there;
    atomic_bool has_ended;
    atomic_bool may_end;
    int allowed; /* what coro_sample_allow() has said */
    int fds[2];  /* what it waits for, and what ends that */
    bool was_undisturbed;
} other;

/* --- what it does --------------------------------------------------------- */

#define SEEN __attribute__((noinline))

static SEEN bool compute(int fd)
{
    (void)fd;
    uint64_t sum = 0;
    while (!atomic_load(&other.may_end)) {
        sum += (uint64_t)coro_now_ns();
        __asm__ volatile("" : "+r"(sum));
    }
    return true;
}

static SEEN bool read_byte(int fd)
{
    char byte;
    return read(fd, &byte, 1) == 1;
}

static SEEN bool poll_byte(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, -1) == 1;
}

static SEEN bool receive_all(int fd)
{
    char bytes[2];
    return recv(fd, bytes, 2, MSG_WAITALL) == 2;
}

static void *run(void *argument)
{
    (void)argument;
    static char stack[HANDLER_STACK_BYTES];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    const stack_t none = {.ss_flags = SS_DISABLE};
    if (other.has_handler_stack)
        sigaltstack(&alternate, NULL);
    else
        sigaltstack(&none, NULL);
    other.allowed = coro_sample_allow();
    coro_thread_self(&other.self);
    atomic_store(&other.is_there, true);
    other.was_undisturbed = other.job(other.fds[0]);
    coro_sample_forbid();
    sigaltstack(&none, NULL);
    atomic_store(&other.has_ended, true);
    return NULL;
}

static bool is_there(void *argument)
{
    return atomic_load((atomic_bool *)argument);
}

static void begin(bool (*job)(int fd))
{
    other.job = job;
    pthread_create(&other.thread, NULL, run, NULL);
    assert_true(wait_until(is_there, &other.is_there, PATIENCE_MS));
}

/* Two bytes are more than any of the jobs waits for. */
static void finish(void)
{
    atomic_store(&other.may_end, true);
    assert_int_equal(write(other.fds[1], "xx", 2), 2);
    pthread_join(other.thread, NULL);
    assert_true(other.was_undisturbed);
}

static int set_up(void **state)
{
    (void)state;
    memset(&other, 0, sizeof other);
    other.has_handler_stack = true;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other.fds);
}

static int tear_down(void **state)
{
    (void)state;
    close(other.fds[0]);
    close(other.fds[1]);
    return 0;
}

static void use_pipe(void)
{
    close(other.fds[0]);
    close(other.fds[1]);
    assert_int_equal(pipe2(other.fds, O_CLOEXEC), 0);
}

/* --- what is seen from outside -------------------------------------------- */

static struct coro_thread_look look_at_other(void)
{
    struct coro_thread_look look = {.state = '?'};
    assert_int_equal(coro_thread_look(&other.self, &look), 0);
    return look;
}

static bool sleeps(void *argument)
{
    (void)argument;
    return look_at_other().state == 'S';
}

/* Whether a signal would do no harm, once it is where it stays. */
static bool bears_signal(void)
{
    assert_true(wait_until(sleeps, NULL, PATIENCE_MS));
    struct coro_thread_look before = look_at_other();
    struct coro_thread_look now = look_at_other();
    return coro_thread_bears_signal(&before, &now);
}

static bool computes(void *argument)
{
    (void)argument;
    struct coro_thread_look before = look_at_other();
    struct coro_thread_look now = look_at_other();
    return now.state == 'R' && now.system_call == -1 &&
           coro_thread_bears_signal(&before, &now);
}

static bool has_used_cpu(void *argument)
{
    (void)argument;
    return coro_thread_cpu_ns(&other.self) > 20000000;
}

static void a_thread_that_computes_is_seen_to_do_so(void **state)
{
    (void)state;
    begin(compute);
    assert_true(wait_until(computes, NULL, PATIENCE_MS));
    assert_true(wait_until(has_used_cpu, NULL, PATIENCE_MS));
    finish();
}

static void a_thread_that_sleeps_is_seen_in_its_system_call(void **state)
{
    (void)state;
    use_pipe();
    begin(read_byte);
    assert_true(wait_until(sleeps, NULL, PATIENCE_MS));
    struct coro_thread_look look = look_at_other();
    assert_int_equal(look.system_call, SYS_read);
    assert_string_equal(coro_thread_call_name(look.system_call), "read");
    assert_int_equal(look.arguments[0], other.fds[0]);
    assert_int_not_equal(look.at, 0);
    finish();
}

/* Who waits for its end is told a moment before the kernel is through. */
static bool is_gone(void *argument)
{
    return coro_thread_look(&other.self, argument) == -ENOENT;
}

static void a_thread_that_has_ended_is_not_seen(void **state)
{
    (void)state;
    struct coro_thread_look look;
    begin(read_byte);
    finish();
    assert_true(wait_until(is_gone, &look, PATIENCE_MS));
    assert_int_equal(coro_thread_cpu_ns(&other.self), -1);
}

static void a_read_from_a_pipe_or_socket_bears_a_signal(void **state)
{
    (void)state;
    begin(read_byte);
    assert_true(bears_signal());
    finish();
}

static void a_read_that_has_a_time_out_bears_none(void **state)
{
    (void)state;
    struct timeval hour = {.tv_sec = 3600};
    setsockopt(other.fds[0], SOL_SOCKET, SO_RCVTIMEO, &hour, sizeof hour);
    begin(read_byte);
    assert_false(bears_signal());
    finish();
}

static void a_read_that_waits_for_all_of_it_bears_none(void **state)
{
    (void)state;
    begin(receive_all);
    assert_false(bears_signal());
    finish();
}

static void a_poll_bears_none(void **state)
{
    (void)state;
    begin(poll_byte);
    assert_false(bears_signal());
    finish();
}

static void who_has_slept_meanwhile_is_left_alone(void **state)
{
    (void)state;
    struct coro_thread_look before = {.state = 'R', .system_call = -1};
    struct coro_thread_look now = before;
    assert_true(coro_thread_bears_signal(&before, &now));
    now.nsleeps++;
    assert_false(coro_thread_bears_signal(&before, &now));
}

static void an_unknown_system_call_has_no_name(void **state)
{
    (void)state;
    assert_null(coro_thread_call_name(-1));
    assert_null(coro_thread_call_name(1000000));
}

/* --- samples -------------------------------------------------------------- */

static bool is_taken(void *argument)
{
    return coro_sample_take(argument);
}

/* Where the C library is older, or a checker stands between, the names of some
 * functions are others; those of ours must be there, one within the other. */
static void assert_calls(const struct coro_sample *sample, const char *inner,
                         const char *outer)
{
    struct coro_symbols symbols;
    char calls[2048];
    coro_symbols_open(&symbols);
    coro_symbols_calls(&symbols, sample->frames, sample->nframes, calls,
                       sizeof calls);
    coro_symbols_close(&symbols);
    const char *at = strstr(calls, inner);
    if (!at || !strstr(at, outer))
        print_error("--- %zu calls: %s\n", sample->nframes, calls);
    assert_non_null(at);
    assert_non_null(strstr(at, outer));
}

static void sample_other(const char *function)
{
    struct coro_sample sample = {.nframes = 0};
    const struct coro_sample_request request = {.thread = other.self.id};
    assert_int_equal(coro_sample_ask(&request), 0);
    assert_true(wait_until(is_taken, &sample, PATIENCE_MS));
    assert_calls(&sample, function, "run");
}

static void a_thread_that_computes_can_be_sampled(void **state)
{
    (void)state;
    begin(compute);
    assert_true(wait_until(has_used_cpu, NULL, PATIENCE_MS));
    for (int i = 0; i < 100; i++)
        sample_other("compute");
    finish();
}

#ifndef CORO_TSAN
static void a_thread_that_reads_can_be_sampled_and_goes_on(void **state)
{
    (void)state;
    use_pipe();
    begin(read_byte);
    assert_true(bears_signal());
    for (int i = 0; i < 100; i++)
        sample_other("read_byte");
    finish();
}
#endif

static atomic_int nasked;

static bool refuse(const struct coro_sample_request *request)
{
    assert_ptr_equal(request->argument, &other);
    assert_int_equal(request->notes[1], 5);
    atomic_fetch_add(&nasked, 1);
    return false;
}

static void a_sample_that_is_not_wanted_any_more_is_empty(void **state)
{
    (void)state;
    struct coro_sample sample = {.nframes = 99};
    begin(compute);
    const struct coro_sample_request request = {.thread = other.self.id,
                                                .is_wanted = refuse,
                                                .argument = &other,
                                                .notes = {4, 5}};
    atomic_store(&nasked, 0);
    assert_int_equal(coro_sample_ask(&request), 0);
    assert_true(wait_until(is_taken, &sample, PATIENCE_MS));
    assert_int_equal(sample.nframes, 0);
    assert_int_equal(atomic_load(&nasked), 1);
    finish();
}

static atomic_bool may_go_on;

static bool hesitate(const struct coro_sample_request *request)
{
    (void)request;
    atomic_fetch_add(&nasked, 1);
    while (!atomic_load(&may_go_on))
        ;
    return true;
}

static bool was_asked(void *argument)
{
    (void)argument;
    return atomic_load(&nasked) > 0;
}

static bool can_ask(void *argument)
{
    return coro_sample_ask(argument) == 0;
}

static void a_sample_that_is_withdrawn_half_way_is_nobodys(void **state)
{
    (void)state;
    struct coro_sample sample = {.nframes = 0};
    begin(compute);
    struct coro_sample_request request = {.thread = other.self.id,
                                          .is_wanted = hesitate};
    atomic_store(&nasked, 0);
    atomic_store(&may_go_on, false);
    assert_int_equal(coro_sample_ask(&request), 0);
    assert_true(wait_until(was_asked, NULL, PATIENCE_MS));
    assert_false(coro_sample_take(&sample));
    coro_sample_withdraw();
    assert_int_equal(coro_sample_ask(&request), -EBUSY);
    atomic_store(&may_go_on, true);
    request.is_wanted = NULL;
    assert_true(wait_until(can_ask, &request, PATIENCE_MS));
    assert_true(wait_until(is_taken, &sample, PATIENCE_MS));
    assert_calls(&sample, "compute", "run");
    finish();
}

static void a_thread_that_has_ended_cannot_be_sampled(void **state)
{
    (void)state;
    struct coro_thread_look look;
    begin(read_byte);
    finish();
    assert_true(wait_until(is_gone, &look, PATIENCE_MS));
    const struct coro_sample_request request = {.thread = other.self.id};
    assert_int_equal(coro_sample_ask(&request), -ESRCH);
    assert_int_equal(coro_sample_ask(&request), -ESRCH);
}

static void a_thread_without_a_stack_for_it_refuses(void **state)
{
    (void)state;
    other.has_handler_stack = false;
    begin(read_byte);
    finish();
    assert_int_equal(other.allowed, -ENOTSUP);
}

/* A checker or an emulator has threads, locks and system calls of its own, and
 * the kernel tells of those. */
static bool is_on_its_own(void)
{
    const char *wrapper = getenv("WRAPPER");
    return !wrapper || !wrapper[0];
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_system_call_has_no_name),
        TEST(who_has_slept_meanwhile_is_left_alone),
        TEST(a_thread_that_has_ended_is_not_seen),
        TEST(a_sample_that_is_not_wanted_any_more_is_empty),
        TEST(a_thread_that_has_ended_cannot_be_sampled),
        TEST(a_thread_without_a_stack_for_it_refuses),
        TEST(a_thread_that_computes_can_be_sampled),
        TEST(a_sample_that_is_withdrawn_half_way_is_nobodys),
    };
    const struct CMUnitTest tests_of_proc[] = {
        TEST(a_thread_that_computes_is_seen_to_do_so),
        TEST(a_thread_that_sleeps_is_seen_in_its_system_call),
        TEST(a_read_from_a_pipe_or_socket_bears_a_signal),
        TEST(a_read_that_has_a_time_out_bears_none),
        TEST(a_read_that_waits_for_all_of_it_bears_none),
        TEST(a_poll_bears_none),
/* That checker delivers signals only when such a call has returned. */
#ifndef CORO_TSAN
        TEST(a_thread_that_reads_can_be_sampled_and_goes_on),
#endif
    };
    int nfailed = cmocka_run_group_tests(tests, NULL, NULL);
    if (is_on_its_own())
        nfailed += cmocka_run_group_tests(tests_of_proc, NULL, NULL);
    return nfailed;
}
