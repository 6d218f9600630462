/*
 * A worker thread in a child process, where one of its jobs does what it must
 * not; then what is found in the vitals, which outlive that process.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/coro.h"
#include "tests/support/fate.h"
#include "worker/blame.h"
#include "worker/log.h"
#include "worker/runner.h"

#define CONCURRENCY 5

static const struct job_queue queues[] = {
    {.key = "a", .key_len = 1, .place = 0},
    {.key = "b", .key_len = 1, .place = 1},
};

/* The jobs 1 and 2 sleep, 3 is the culprit; each is in flight under 100 more
 * than that. */
#define SLEEPERS 2
#define CULPRIT  3
#define ATTEMPTS 100

static const char sleeper[] = "{\"class\":\"Sleep\",\"args\":[600]}";

static struct vitals *vitals;
static const char *payload;             /* the culprit's */
static const struct handler_kind *kind; /* its handler; NULL: `fault` */
static coro_task_fn *master_does;       /* when all have started; or NULL */

/* --- in the child --------------------------------------------------------- */

/* The master's side. */
static struct {
    struct coro_loop *loop;
    struct coro_submit up;
    struct registry *registry;
    struct runner *runner;
} master;

static void receive(void *argument, struct coro_submit_node *node)
{
    (void)argument;
    while (node) {
        struct message *message = list_entry(node, struct message, node);
        node = node->next;
        if (message->kind == MESSAGE_STOPPED)
            coro_loop_stop(master.loop);
        else
            job_free(list_entry(message, struct job, message));
    }
}

static struct registry *make_registry(void)
{
    char why[100];
    struct registry *registry = registry_new();
    registry_bind(registry, "Sleep", "sleep", why, sizeof why);
    registry_bind(registry, "Fault", "fault", why, sizeof why);
    if (kind)
        registry_bind_kind(registry, NULL, kind);
    else
        registry_bind(registry, NULL, "fault", why, sizeof why);
    return registry;
}

static struct job *make_job(uint64_t number, const char *bytes)
{
    const struct job_queue *queue = &queues[number == CULPRIT];
    struct job *job = job_new(queue, number, bytes, strlen(bytes));
    job->attempt = ATTEMPTS + number;
    job->message.kind = MESSAGE_JOB;
    return job;
}

static void send_jobs(void)
{
    struct job *oldest = make_job(1, sleeper), *newest = oldest;
    for (uint64_t number = 2; number <= SLEEPERS + 1; number++) {
        struct job *job =
            make_job(number, number == CULPRIT ? payload : sleeper);
        job->message.node.next = &newest->message.node;
        newest = job;
    }
    oldest->message.node.next = NULL;
    runner_submit(master.runner, newest, oldest);
}

static int wait_and_do(void *argument)
{
    while (counter_read(&vitals->counters.started) < CULPRIT)
        coro_sleep(1);
    return master_does(argument);
}

/* Until there is an end to it, of whatever kind. */
static void run_jobs(void)
{
    log_start(&(struct log_options){.level = LOG_LEVEL_ERROR, .fd = 2});
    coro_loop_new(NULL, &master.loop);
    coro_submit_open(&master.up, master.loop, receive, NULL);
    master.registry = make_registry();
    const struct pool_options options = {
        .concurrency = CONCURRENCY,
        .registry = master.registry,
        .up = &master.up,
        .vitals = vitals,
    };
    if (runner_start(&options, &master.runner) < 0)
        _exit(9);
    send_jobs();
    if (master_does)
        coro_spawn(master.loop, wait_and_do, NULL, NULL, NULL);
    coro_loop_run_forever(master.loop);
}

/* --- in the parent -------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    vitals = mmap(NULL, vitals_bytes(CONCURRENCY), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (vitals == MAP_FAILED)
        return -1;
    vitals->nmarks = CONCURRENCY;
    payload = "";
    kind = NULL;
    master_does = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(vitals, vitals_bytes(CONCURRENCY));
}

static void assert_ends_by_segv(void (*function)(void))
{
    struct fate fate = fate_of(function);
    fate_assert_signal(&fate, SIGSEGV);
}

static void die_of(const char *bytes, int number)
{
    tear_down(NULL);
    set_up(NULL);
    payload = bytes;
    struct fate fate = fate_of(run_jobs);
    fate_assert_signal(&fate, number);
}

static const struct vitals_mark *find_mark(uint64_t number)
{
    for (size_t i = 0; i < vitals->nmarks; i++)
        if (vitals->marks[i].number == number)
            return &vitals->marks[i];
    fail_msg("there is no mark of job %d", (int)number);
    return NULL;
}

/* Those of the sleepers and of the culprit, and no other. */
static void assert_marks(void)
{
    assert_int_equal(vitals_count_started(vitals, CONCURRENCY), SLEEPERS + 1);
    for (uint64_t number = 1; number <= SLEEPERS + 1; number++) {
        const struct vitals_mark *mark = find_mark(number);
        assert_int_equal(mark->attempt, ATTEMPTS + number);
        assert_int_equal(mark->queue, number == CULPRIT);
    }
}

static void assert_calls(const char *name)
{
    if (!strstr(vitals->crash.calls, name))
        fail_msg("\"%s\" is not in \"%s\"", name, vitals->crash.calls);
}

static void assert_blamed(const char *bytes, int number, const char *call)
{
    die_of(bytes, number);
    const struct vitals_crash *crash = &vitals->crash;
    assert_int_equal(crash->cause, VITALS_CAUSE_SIGNAL);
    assert_int_equal(crash->signal, number);
    assert_int_equal(crash->job, CULPRIT);
    assert_int_equal(crash->payload_len, strlen(bytes));
    assert_memory_equal(crash->payload, bytes, strlen(bytes));
    assert_calls(call);
    assert_marks();
}

static void a_job_that_reads_nowhere_is_blamed_alone(void **state)
{
    (void)state;
    assert_blamed("segv", SIGSEGV, "fault_segv");
    assert_true(vitals->crash.code > 0);
    assert_int_equal(vitals->crash.address, 0);
    assert_int_equal(vitals->crash.is_thread, 0);
    assert_int_equal(vitals->crash.is_overflow, 0);
    assert_in_range(vitals->crash.stack_bytes, 57344, 61440);
    assert_string_equal(vitals->crash.task, "worker");
    assert_calls("registry_run");
}

static void so_is_one_that_aborts_or_runs_nonsense(void **state)
{
    (void)state;
    assert_blamed("abort", SIGABRT, "fault_abort");
    assert_blamed("ill", SIGILL, "fault_ill");
#if defined(__x86_64__)
    assert_blamed("fpe", SIGFPE, "fault_fpe");
#endif
}

static void so_is_one_that_uses_up_its_stack(void **state)
{
    (void)state;
    assert_blamed("overflow", SIGSEGV, "descend");
    assert_int_equal(vitals->crash.is_overflow, 1);
    assert_in_range(vitals->crash.stack_bytes, 57344, 61440);
}

static void so_is_one_whose_work_in_a_thread_fails(void **state)
{
    (void)state;
    assert_blamed("thread", SIGSEGV, "fault_segv");
    assert_int_equal(vitals->crash.is_thread, 1);
    assert_string_equal(vitals->crash.task, "");
}

static void the_beginning_of_a_long_payload_is_noted(void **state)
{
    static char bytes[2000];
    (void)state;
    memset(bytes, ' ', sizeof bytes - 1);
    static const char job[] = "{\"class\":\"Fault\",\"args\":[\"segv\"]";
    memcpy(bytes, job, sizeof job - 1);
    bytes[sizeof bytes - 2] = '}';
    die_of(bytes, SIGSEGV);
    assert_int_equal(vitals->crash.job, CULPRIT);
    assert_int_equal(vitals->crash.payload_len, sizeof bytes - 1);
    assert_memory_equal(vitals->crash.payload, bytes, VITALS_PAYLOAD_BYTES);
}

static enum job_outcome send_signal(const struct handler_call *call)
{
    (void)call;
    kill(getpid(), SIGSEGV);
    return JOB_OUTCOME_DONE;
}

static void what_is_sent_is_nobody_s_fault(void **state)
{
    static const struct handler_kind sender = {.name = "sender",
                                               .run = send_signal};
    (void)state;
    kind = &sender;
    payload = "x";
    assert_ends_by_segv(run_jobs);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_NONE);
}

static int fault_here(void *argument)
{
    volatile char *nowhere = (void *)(uintptr_t)16;
    (void)argument;
    __asm__ volatile("" : "+r"(nowhere));
    return *nowhere;
}

static void a_fault_of_the_master_is_no_job_s(void **state)
{
    (void)state;
    master_does = fault_here;
    payload = sleeper;
    assert_ends_by_segv(run_jobs);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_SIGNAL);
    assert_int_equal(vitals->crash.address, 16);
    assert_int_equal(vitals->crash.job, 0);
    assert_int_equal(vitals->crash.payload_len, 0);
    assert_calls("fault_here");
    assert_marks();
}

static void so_is_one_that_calls_exit(void **state)
{
    (void)state;
    payload = "leave";
    struct fate fate = fate_of(run_jobs);
    const struct vitals_crash *crash = &vitals->crash;
    char what[VITALS_WHAT_BYTES];
    vitals_describe_crash(crash, what);
    assert_int_equal(fate.status, 0);
    assert_int_equal(crash->cause, VITALS_CAUSE_EXIT);
    assert_int_equal(crash->job, CULPRIT);
    assert_memory_equal(crash->payload, "leave", crash->payload_len);
    assert_string_equal(what, "exit(0)");
}

/* Ends as if all was well, so that only the forked one has failed. */
static enum job_outcome fork_one_that_fails(const struct handler_call *call)
{
    (void)call;
    pid_t pid = fork();
    if (pid == 0)
        fault_here(NULL);
    int status = 0;
    waitpid(pid, &status, 0);
    _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 1);
}

static void what_a_job_has_forked_off_may_fail_for_itself(void **state)
{
    static const struct handler_kind forker = {.name = "forker",
                                               .run = fork_one_that_fails};
    (void)state;
    kind = &forker;
    payload = "x";
    struct fate fate = fate_of(run_jobs);
    assert_int_equal(fate.signal, 0);
    assert_int_equal(fate.status, 0);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_NONE);
}

static void a_cause_that_was_noted_before_stays(void **state)
{
    (void)state;
    vitals->crash.cause = VITALS_CAUSE_STALL;
    vitals->crash.job = 2;
    payload = "segv";
    assert_ends_by_segv(run_jobs);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_STALL);
    assert_int_equal(vitals->crash.job, 2);
}

/* With this stack pointer the callers can't be looked for. */
static enum job_outcome lose_stack(const struct handler_call *call)
{
    (void)call;
#if defined(__x86_64__)
    __asm__ volatile("movq $64, %rsp\n\tpopq %rax");
#else
    __asm__ volatile("mov x9, #64\n\tmov sp, x9\n\tldr x9, [sp]" : : : "x9");
#endif
    return JOB_OUTCOME_DONE;
}

static void what_is_needed_is_noted_before_what_may_fault_again(void **state)
{
    static const struct handler_kind loser = {.name = "loser",
                                              .run = lose_stack};
    (void)state;
    kind = &loser;
    payload = "x";
    assert_ends_by_segv(run_jobs);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_SIGNAL);
    assert_int_equal(vitals->crash.job, CULPRIT);
    assert_int_equal(vitals->crash.payload_len, 1);
    assert_marks();
}

/* --- orderly ends --------------------------------------------------------- */

static int stop_worker(void *argument)
{
    (void)argument;
    return runner_request(master.runner, MESSAGE_STOP);
}

static void run_jobs_to_their_end(void)
{
    master_does = stop_worker;
    run_jobs();
    runner_join(master.runner);
    coro_submit_close(&master.up);
    coro_loop_free(master.loop);
    registry_free(master.registry);
    /* From here on nobody is blamed. */
    if (payload[0] == '!')
        fault_here(NULL);
}

static void jobs_that_have_ended_leave_no_marks(void **state)
{
    (void)state;
    payload = "nothing";
    struct fate fate = fate_of(run_jobs_to_their_end);
    assert_int_equal(fate.signal, 0);
    assert_int_equal(fate.status, 0);
    assert_int_equal(vitals->counters.started, SLEEPERS + 1);
    assert_int_equal(vitals->counters.interrupted, SLEEPERS);
    assert_int_equal(vitals_count_started(vitals, CONCURRENCY), 0);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_NONE);
}

static void after_the_worker_s_end_nothing_is_noted(void **state)
{
    (void)state;
    payload = "!";
    assert_ends_by_segv(run_jobs_to_their_end);
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_NONE);
}

static void a_stall_is_noted_with_its_job(void **state)
{
    (void)state;
    struct job *job = make_job(CULPRIT, "a payload");
    blame_stall(vitals, job, CULPRIT, 2500, "spin < run");
    blame_stall(vitals, NULL, 1, 9999, "something that comes later");
    job_free(job);
    const struct vitals_crash *crash = &vitals->crash;
    char what[VITALS_WHAT_BYTES];
    vitals_describe_crash(crash, what);
    assert_string_equal(what, "held the worker for 2.5 s");
    assert_int_equal(crash->cause, VITALS_CAUSE_STALL);
    assert_int_equal(crash->job, CULPRIT);
    assert_int_equal(crash->payload_len, strlen("a payload"));
    assert_memory_equal(crash->payload, "a payload", strlen("a payload"));
    assert_string_equal(crash->calls, "spin < run");
}

static void a_stall_of_a_job_that_is_not_known_is_noted_without(void **state)
{
    (void)state;
    blame_stall(vitals, NULL, 0, 1000, "");
    assert_int_equal(vitals->crash.cause, VITALS_CAUSE_STALL);
    assert_int_equal(vitals->crash.job, 0);
    assert_int_equal(vitals->crash.payload_len, 0);
}

#define BLAME_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLAME_TEST(a_job_that_reads_nowhere_is_blamed_alone),
        BLAME_TEST(so_is_one_that_aborts_or_runs_nonsense),
        BLAME_TEST(so_is_one_that_uses_up_its_stack),
        BLAME_TEST(so_is_one_whose_work_in_a_thread_fails),
        BLAME_TEST(so_is_one_that_calls_exit),
        BLAME_TEST(the_beginning_of_a_long_payload_is_noted),
        BLAME_TEST(what_is_sent_is_nobody_s_fault),
        BLAME_TEST(a_fault_of_the_master_is_no_job_s),
        BLAME_TEST(what_a_job_has_forked_off_may_fail_for_itself),
        BLAME_TEST(a_cause_that_was_noted_before_stays),
        BLAME_TEST(what_is_needed_is_noted_before_what_may_fault_again),
        BLAME_TEST(a_stall_is_noted_with_its_job),
        BLAME_TEST(a_stall_of_a_job_that_is_not_known_is_noted_without),
        BLAME_TEST(jobs_that_have_ended_leave_no_marks),
        BLAME_TEST(after_the_worker_s_end_nothing_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
