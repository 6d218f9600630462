/*
 * The record of a process and its running jobs, and what is asked of it.
 */
#include "tests/integration/heart_stage.h"

/* Reads the record of a beat that begins now. */
static bool read_next(struct stage *stage, struct dashboard_process *ret)
{
    return expect_that(heart_wait_beat(stage)) &&
           expect_that(dashboard_read(&stage->server, HEART_ID, ret));
}

/* --- the process ---------------------------------------------------------- */

static int show_process(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    struct dashboard_process process;
    if (read_next(stage, &process)) {
        expect_that(strcmp(process.hostname, "box") == 0);
        expect_that(process.pid == 77);
        expect_that(process.concurrency == 5);
        expect_that(process.busy == 0);
        expect_that(process.njobs == 0);
        expect_that(!process.is_quiet);
    }
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_process_is_shown_with_all_that_dashboards_read(void **state)
{
    stage_play(*state, show_process);
}

static int show_queues(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    struct dashboard_process process;
    read_next(stage, &process);
    char *queues =
        json_dumps(json_object_get(process.info, "queues"), JSON_COMPACT);
    char *capsules =
        json_dumps(json_object_get(process.info, "capsules"), JSON_COMPACT);
    expect_that(queues && strcmp(queues, "[\"mail\",\"raw\"]") == 0);
    expect_that(capsules &&
                strcmp(capsules,
                       "{\"default\":{\"concurrency\":5,\"mode\":\"strict\","
                       "\"weights\":{\"mail\":0,\"raw\":0}}}") == 0);
    free(queues);
    free(capsules);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void queues_are_shown_once_and_without_their_prefix(void **state)
{
    stage_play(*state, show_queues);
}

static int become_quiet(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    heart.is_quiet = true;
    struct dashboard_process process;
    read_next(stage, &process);
    expect_that(process.is_quiet);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_quiet_process_is_shown_so(void **state)
{
    stage_play(*state, become_quiet);
}

static int come_back(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    struct dashboard_process process;
    expect_that(heart_wait_beat(stage));
    redis_do(&stage->server, "FLUSHALL");
    read_next(stage, &process);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_record_that_was_lost_is_written_again(void **state)
{
    stage_play(*state, come_back);
}

static int leave(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    heart_add_job(&heart_queues[0], "x", 1, true);
    expect_that(heart_wait_beat(stage));
    expect_that(redis_integer(&stage->server, "HLEN " HEART_ID ":work") == 1);
    heart_end(stage);
    return 0;
}

static void a_process_that_ends_takes_itself_out(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, leave);
    assert_int_equal(redis_integer(&stage->server, "EXISTS processes"), 0);
    assert_int_equal(redis_integer(&stage->server, "EXISTS %s:work", HEART_ID),
                     0);
    assert_in_range(redis_integer(&stage->server, "TTL %s", HEART_ID), 1, 60);
}

static int stop_before_the_first_beat(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    heart_end(stage);
    coro_sleep(3 * HEART_PERIOD_MS);
    return 0;
}

static void a_heart_that_was_stopped_does_not_beat(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, stop_before_the_first_beat);
    assert_int_equal(redis_integer(&stage->server, "EXISTS processes"), 0);
}

/* --- running jobs --------------------------------------------------------- */

#define DESCRIBED                                                  \
    "{\"class\":\"Mail\",\"args\":[9007199254740993,\"\\u00e9\"]," \
    "\"jid\":\"b4a577edbccf1d805744efa9\"} "

static int show_jobs(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_add_job(&heart_queues[0], DESCRIBED, sizeof DESCRIBED - 1, true);
    heart_add_job(&heart_queues[1], "a\0\xff\"\n", 5, true);
    heart_add_job(&heart_queues[1], "waits", 5, false);
    heart_begin(stage);
    struct dashboard_process process;
    read_next(stage, &process);
    expect_that(process.busy == 2);
    expect_that(process.njobs == 2);
    const struct dashboard_job *job = dashboard_job(&process, DESCRIBED);
    expect_that(job && strcmp(job->queue, "mail") == 0);
    expect_that(job && strcmp(job->field, "1") == 0);
    job = dashboard_job(&process, "a\xef\xbf\xbd\xef\xbf\xbd\"\n");
    expect_that(job && strcmp(job->queue, "raw") == 0);
    expect_that(job && strcmp(job->class, "(raw)") == 0);
    expect_that(job && job->jid && strcmp(job->jid, "2") == 0);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void jobs_that_run_are_shown_and_no_others(void **state)
{
    stage_play(*state, show_jobs);
}

static int end_jobs(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_add_job(&heart_queues[0], DESCRIBED, sizeof DESCRIBED - 1, true);
    heart_begin(stage);
    struct dashboard_process process;
    read_next(stage, &process);
    expect_that(process.njobs == 1);
    dashboard_release(&process);
    counter_add(&heart.counters.done);
    heart_drop_jobs();
    read_next(stage, &process);
    expect_that(process.njobs == 0);
    expect_that(process.busy == 0);
    dashboard_release(&process);
    expect_that(redis_integer(&stage->server, "EXISTS " HEART_ID ":work") == 0);
    heart_end(stage);
    return 0;
}

static void jobs_that_have_ended_are_shown_no_more(void **state)
{
    stage_play(*state, end_jobs);
}

static int show_large_job(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    char text[10241];
    snprintf(text, sizeof text, "{\"class\":\"Mail\",\"args\":[\"%*s\"]}",
             10000, "y");
    memset(text + strlen(text), ' ', sizeof text - strlen(text));
    heart_add_job(&heart_queues[0], text, sizeof text - 1, true);
    heart_add_job(&heart_queues[0], text, sizeof text, true);
    heart_begin(stage);
    struct dashboard_process process;
    read_next(stage, &process);
    for (size_t i = 0; i < process.njobs; i++) {
        const struct dashboard_job *job = &process.jobs[i];
        bool is_whole = strcmp(job->field, "1") == 0;
        const json_t *arg = json_array_get(job->args, 0);
        expect_that(strcmp(job->class, is_whole ? "Mail" : "(cut)") == 0);
        expect_that(json_string_length(arg) == (is_whole ? 10000 : 100));
    }
    expect_that(process.njobs == 2);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_payload_beyond_ten_kilobytes_is_cut(void **state)
{
    stage_play(*state, show_large_job);
}

static int show_many_jobs(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    char text[8000];
    memset(text, 'z', sizeof text);
    for (int i = 0; i < 1200; i++) {
        text[0] = (char)('a' + i % 26);
        heart_add_job(&heart_queues[1], text, sizeof text, i > 0);
    }
    heart_begin(stage);
    struct dashboard_process process;
    read_next(stage, &process);
    expect_that(process.busy == 1199);
    expect_that(process.njobs == 1000);
    size_t nwhole = 0;
    for (size_t i = 0; i < process.njobs; i++) {
        long number = strtol(process.jobs[i].field, NULL, 10);
        expect_that(number >= 2 && number <= 1001);
        nwhole += strcmp(process.jobs[i].class, "(raw)") == 0;
    }
    /* Not more than 2 MiB are looked at. */
    expect_that(nwhole == 262);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_thousand_jobs_are_shown_the_oldest(void **state)
{
    stage_play(*state, show_many_jobs);
}

/* Ends jobs, the oldest first, while they are being shown. */
static int end_some(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100; i++) {
        struct list *link = list_take_first(&heart.in_flight);
        job_free(list_entry(link, struct job, in_flight));
        coro_relax();
    }
    return 0;
}

static int show_while_they_end(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    char text[8000];
    int begin_len =
        snprintf(text, sizeof text, "{\"class\":\"Mail\",\"args\":[\"");
    memset(text + begin_len, 'z', sizeof text - (size_t)begin_len);
    static const char end[] = "\"]}";
    memcpy(text + sizeof text - sizeof end + 1, end, sizeof end - 1);
    for (int i = 0; i < 200; i++)
        heart_add_job(&heart_queues[1], text, sizeof text, true);
    heart_begin(stage);
    heart.heartbeat.options.period_ms = HEARTBEAT_PERIOD_MS;
    coro_group_spawn(&heart.group, end_some, NULL, NULL);
    struct dashboard_process process;
    read_next(stage, &process);
    /* The others were there all the time. */
    size_t nold = 0;
    for (size_t i = 0; i < process.njobs; i++)
        nold += strtol(process.jobs[i].field, NULL, 10) <= 100;
    expect_that(process.njobs - nold == 100);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void jobs_may_end_while_they_are_being_shown(void **state)
{
    stage_play(*state, show_while_they_end);
}

/* --- signals -------------------------------------------------------------- */

static bool has_signals(void *argument)
{
    return heart.nsignals >= *(size_t *)argument;
}

static int take_signals(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    redis_do(&stage->server,
             "LPUSH " HEART_ID "-signals TSTP HUP TTIN TERM TERM");
    heart_begin(stage);
    size_t nsignals = 4;
    expect_that(stage_wait_until(has_signals, &nsignals));
    expect_that(heart.signals[0] == SIGTSTP && heart.signals[1] == SIGTTIN);
    expect_that(heart.signals[2] == SIGTERM && heart.signals[3] == SIGTERM);
    expect_that(heart_wait_beat(stage));
    expect_that(heart.nsignals == 4);
    heart_end(stage);
    return 0;
}

static void signals_are_taken_in_their_order(void **state)
{
    stage_play(*state, take_signals);
    assert_int_equal(heart_log_count("expected TSTP, TERM or TTIN found=HUP"),
                     1);
}

static int take_one_signal_a_beat(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    redis_do(&stage->server, "LPUSH " HEART_ID "-signals TSTP TERM");
    heart_begin(stage);
    heart.heartbeat.options.period_ms = HEARTBEAT_PERIOD_MS;
    size_t nsignals = 1;
    int64_t start_ms = coro_now_ms();
    expect_that(stage_wait_until(has_signals, &nsignals));
    expect_that(heart.nsignals == 1);
    expect_that(redis_integer(&stage->server, "LLEN " HEART_ID "-signals") ==
                1);
    /* The next beat shows what became of it, and comes soon. */
    nsignals = 2;
    expect_that(stage_wait_until(has_signals, &nsignals));
    expect_that(coro_now_ms() - start_ms < HEARTBEAT_PERIOD_MS);
    heart_end(stage);
    return 0;
}

static void a_beat_takes_one_signal_and_the_next_comes_soon(void **state)
{
    stage_play(*state, take_one_signal_a_beat);
}

/* --- the dead ------------------------------------------------------------- */

static bool is_alone(void *argument)
{
    struct stage *stage = argument;
    return redis_integer(&stage->server, "SCARD processes") == 3;
}

static int prune(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    redis_do(&stage->server, "EVAL %s 0",
             "for i = 1, 3000 do redis.call('SADD', 'processes', "
             "'gone:' .. i .. ':ab') end return 1");
    redis_do(&stage->server, "SADD processes other:1:ab odd:1:ab");
    redis_do(&stage->server, "HSET other:1:ab info {}");
    redis_do(&stage->server, "SET odd:1:ab nonsense");
    heart_begin(stage);
    expect_that(stage_wait_until(is_alone, stage));
    expect_that(
        redis_integer(&stage->server, "SISMEMBER processes other:1:ab") == 1);
    expect_that(redis_integer(&stage->server, "SISMEMBER processes odd:1:ab") ==
                1);
    expect_that(redis_integer(&stage->server, "TTL process_cleanup") > 0);
    heart_end(stage);
    return 0;
}

static void processes_without_a_record_are_taken_out(void **state)
{
    stage_play(*state, prune);
    assert_true(heart_log_count("processes that are gone were taken out") > 0);
}

static int do_not_prune(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    redis_do(&stage->server, "SET process_cleanup 1");
    redis_do(&stage->server, "SADD processes gone:1:ab");
    heart_begin(stage);
    expect_that(heart_wait_beat(stage));
    expect_that(heart_wait_beat(stage));
    expect_that(redis_integer(&stage->server, "SCARD processes") == 2);
    heart_end(stage);
    return 0;
}

static void only_one_process_looks_for_the_dead(void **state)
{
    stage_play(*state, do_not_prune);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEART_TEST(a_process_is_shown_with_all_that_dashboards_read),
        HEART_TEST(queues_are_shown_once_and_without_their_prefix),
        HEART_TEST(a_quiet_process_is_shown_so),
        HEART_TEST(a_record_that_was_lost_is_written_again),
        HEART_TEST(a_process_that_ends_takes_itself_out),
        HEART_TEST(a_heart_that_was_stopped_does_not_beat),
        HEART_TEST(jobs_that_run_are_shown_and_no_others),
        HEART_TEST(jobs_that_have_ended_are_shown_no_more),
        HEART_TEST(a_payload_beyond_ten_kilobytes_is_cut),
        HEART_TEST(a_thousand_jobs_are_shown_the_oldest),
        HEART_TEST(jobs_may_end_while_they_are_being_shown),
        HEART_TEST(signals_are_taken_in_their_order),
        HEART_TEST(a_beat_takes_one_signal_and_the_next_comes_soon),
        HEART_TEST(processes_without_a_record_are_taken_out),
        HEART_TEST(only_one_process_looks_for_the_dead),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
