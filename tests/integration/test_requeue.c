/*
 * Giving back what a process has of a queue: its own, or a dead one's.
 */
#include "master/queue/orphans.h"
#include "master/queue/requeue.h"
#include "tests/integration/least_stage.h"

#define INBOX    LEAST_INBOX("q")
#define INFLIGHT LEAST_INFLIGHT("q")
#define MEMBER   LEAST_PROCESS " q"

#define A1 "0000000000000001"
#define A2 "0000000000000002"
#define A3 "0000000000000003"
#define A4 "0000000000000004"

static struct requeue requeue;

static void begin(struct stage *stage)
{
    least_open(stage, stage->server.port);
    requeue = (struct requeue){
        .redis = stage->redis,
        .lease = &least.owner.lease,
        .queue = &least.owner.queues[0],
    };
}

static int64_t soon(void)
{
    return coro_after(PATIENCE_MS);
}

static void play(struct stage *stage, coro_task_fn *script)
{
    least_prepare("q");
    stage_play(stage, script);
}

/* --- order ---------------------------------------------------------------- */

static int give_all_back(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(requeue_inbox(&requeue, soon()) == 250);
    expect_that(requeue_inflight(&requeue, soon()) == 250);
    expect_that(requeue_inbox(&requeue, soon()) == 0);
    expect_that(requeue_inflight(&requeue, soon()) == 0);
    least_close(stage);
    return 0;
}

/* What is in flight was taken before what is in the inbox, and that before what
 * waits in the queue. */
static void all_is_in_line_again_as_it_was_taken(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 250);
    least_push(stage, INBOX, 251, 500);
    least_push(stage, "q", 501, 600);
    play(stage, give_all_back);
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT " " INBOX));
    assert_true(least_counts(stage, "q", 1, 600));
}

static int give_some_back(void *argument)
{
    static const char *const attempts[] = {A1, A3, A4};
    struct stage *stage = argument;
    begin(stage);
    expect_that(requeue_attempts(&requeue, attempts, 3, soon()) == 3);
    /* Sent twice, as after a lost answer. */
    expect_that(requeue_attempts(&requeue, attempts, 3, soon()) == 0);
    expect_that(requeue_attempts(&requeue, attempts, 0, soon()) == 0);
    least_close(stage);
    return 0;
}

static void named_attempts_go_back_once_and_no_others(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 5);
    play(stage, give_some_back);
    assert_true(
        least_gives(stage, A2 " 2 0000000000000005 5", "HGETALL " INFLIGHT));
    assert_true(least_gives(stage, "4 3 1", "LRANGE q 0 -1"));
}

static int give_many_back(void *argument)
{
    struct stage *stage = argument;
    static char names[250][OWNER_ATTEMPT_BYTES];
    const char *attempts[250];
    for (size_t i = 0; i < 250; i++) {
        owner_format_attempt(names[i], i + 1);
        attempts[i] = names[i];
    }
    begin(stage);
    expect_that(requeue_attempts(&requeue, attempts, 250, soon()) == 250);
    least_close(stage);
    return 0;
}

static void many_attempts_keep_their_order_across_calls(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 250);
    redis_do(&stage->server, "CONFIG RESETSTAT");
    play(stage, give_many_back);
    char *info = redis_text(&stage->server, "INFO commandstats");
    bool are_few = strstr(info, "cmdstat_evalsha:calls=3,");
    free(info);
    assert_true(are_few);
    assert_true(least_counts(stage, "q", 1, 250));
}

static int give_bytes_back(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(requeue_inbox(&requeue, soon()) == 1);
    expect_that(requeue_inflight(&requeue, soon()) == 1);
    least_close(stage);
    return 0;
}

static void bytes_and_foreign_fields_are_left_as_they_are(void **state)
{
    static const char bytes[] = {'{', 0, '\xff', '\n'};
    struct stage *stage = *state;
    redis_do(&stage->server, "LPUSH " INBOX " %b", bytes, sizeof bytes);
    redis_do(&stage->server, "HSET " INFLIGHT " " A1 " %b - x 12 y", bytes,
             sizeof bytes);
    play(stage, give_bytes_back);
    for (int i = 0; i < 2; i++) {
        redisReply *reply = redis_reply(&stage->server, "RPOP q");
        assert_int_equal(reply->len, sizeof bytes);
        assert_memory_equal(reply->str, bytes, sizeof bytes);
        freeReplyObject(reply);
    }
    assert_true(least_gives(stage, "- x 12 y", "HGETALL " INFLIGHT));
}

/* --- killed in the middle ------------------------------------------------- */

/* The first of several calls, as whoever was killed then has made it. */
static void begin_to_give_back(struct stage *stage)
{
    redis_do(&stage->server, "EVAL %s 3 " LEAST_LEASE " " INBOX " q orphans 2",
             script_requeue_inbox.text);
    redis_do(&stage->server,
             "EVAL %s 3 " LEAST_LEASE " " INFLIGHT " q orphans " A4 " " A3,
             script_requeue.text);
}

static int go_on_giving_back(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    requeue.are_orphans = true;
    expect_that(requeue_inbox(&requeue, soon()) == 0);
    expect_that(requeue_inflight(&requeue, soon()) == 2);
    least_close(stage);
    return 0;
}

static void who_goes_on_where_another_was_killed_keeps_the_order(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 4);
    least_push(stage, INBOX, 5, 6);
    least_push(stage, "q", 7, 7);
    begin_to_give_back(stage);
    assert_true(least_gives(stage, "7 6 5 4 3", "LRANGE q 0 -1"));
    assert_true(least_gives(stage, A1 " 1 " A2 " 2", "HGETALL " INFLIGHT));
    play(stage, go_on_giving_back);
    assert_true(least_counts(stage, "q", 1, 7));
}

/* --- whose they are ------------------------------------------------------- */

static int leave_alone(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    requeue.are_orphans = true;
    expect_that(requeue_inbox(&requeue, soon()) == -EBUSY);
    expect_that(requeue_inflight(&requeue, soon()) == -EBUSY);
    least_close(stage);
    return 0;
}

static void a_process_with_a_lease_is_no_orphan(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 2);
    least_push(stage, INBOX, 3, 3);
    redis_do(&stage->server, "SET " LEAST_LEASE " 1:x");
    play(stage, leave_alone);
    assert_true(least_gives(stage, A1 " 1 " A2 " 2", "HGETALL " INFLIGHT));
    assert_true(least_gives(stage, "3", "LRANGE " INBOX " 0 -1"));
    assert_true(least_gives(stage, "0", "EXISTS q"));
}

static void a_lease_that_comes_back_keeps_the_rest(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 4);
    least_push(stage, INBOX, 5, 7);
    begin_to_give_back(stage);
    redis_do(&stage->server, "SET " LEAST_LEASE " 2:x");
    play(stage, leave_alone);
    assert_true(least_gives(stage, A1 " 1 " A2 " 2", "HGETALL " INFLIGHT));
    assert_true(least_gives(stage, "5", "LRANGE " INBOX " 0 -1"));
}

static int give_own_back(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(requeue_inbox(&requeue, soon()) == 1);
    expect_that(requeue_inflight(&requeue, soon()) == 2);
    least_close(stage);
    return 0;
}

static void ones_own_go_back_with_the_lease_there(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 2);
    least_push(stage, INBOX, 3, 3);
    redis_do(&stage->server, "SET " LEAST_LEASE " 1:x");
    play(stage, give_own_back);
    assert_true(least_counts(stage, "q", 1, 3));
}

/* --- what goes wrong ------------------------------------------------------ */

static int be_refused(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(requeue_inbox(&requeue, soon()) == -EREMOTEIO);
    expect_that(strstr(requeue.why, "WRONGTYPE"));
    requeue.why[0] = '\0';
    expect_that(requeue_inflight(&requeue, soon()) == -EREMOTEIO);
    expect_that(strstr(requeue.why, "WRONGTYPE"));
    least_close(stage);
    return 0;
}

static void a_queue_that_is_no_list_takes_nothing_and_loses_nothing(
    void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 2);
    least_push(stage, INBOX, 3, 4);
    redis_do(&stage->server, "SET q nonsense");
    play(stage, be_refused);
    assert_true(least_gives(stage, A1 " 1 " A2 " 2", "HGETALL " INFLIGHT));
    assert_true(least_gives(stage, "4 3", "LRANGE " INBOX " 0 -1"));
}

static void keys_of_ours_of_the_wrong_type_are_told(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "MSET " INFLIGHT " x " INBOX " y");
    play(stage, be_refused);
    assert_true(least_gives(stage, "x y", "MGET " INFLIGHT " " INBOX));
}

static void a_full_server_takes_them_back(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 2);
    least_push(stage, INBOX, 3, 3);
    least_fill_server(stage, true);
    play(stage, give_own_back);
    least_fill_server(stage, false);
    assert_true(least_counts(stage, "q", 1, 3));
}

static int give_orphans_back(void *argument)
{
    struct stage *stage = argument;
    least_open(stage, stage->server.port);
    struct orphans orphans;
    expect_that(orphans_init(&orphans, MEMBER, strlen(MEMBER)) == 0);
    expect_that(orphans_give_back(&orphans, stage->redis, soon()) == 3);
    expect_that(orphans_give_back(&orphans, stage->redis, soon()) == 0);
    orphans_release(&orphans);
    least_close(stage);
    return 0;
}

static void orphans_are_told_of_by_process_and_queue(void **state)
{
    struct stage *stage = *state;
    least_put(stage, INFLIGHT, 1, 2);
    least_push(stage, INBOX, 3, 3);
    least_prepare("other");
    stage_play(stage, give_orphans_back);
    assert_true(least_counts(stage, "q", 1, 3));
    assert_non_null(strstr(log_file_read(&file),
                           "given back, of a process that is gone: 3 jobs "
                           "process=host:1:ab queue=q"));
}

/* --- forgetting ----------------------------------------------------------- */

static int forget_when_empty(void *argument)
{
    static const char *const obstacles[] = {
        "SET " LEAST_LEASE " 1:x",
        "LPUSH " INBOX " 1",
        "HSET " INFLIGHT " " A1 " 1",
    };
    struct stage *stage = argument;
    begin(stage);
    const struct owner_queue *queue = requeue.queue;
    for (size_t i = 0; i < 3; i++) {
        redis_do(&stage->server, "FLUSHALL");
        redis_do(&stage->server, "SADD corq:owners %s other",
                 least.owner.queues[0].member.bytes);
        redis_do(&stage->server, obstacles[i]);
        expect_that(
            requeue_forget(stage->redis, requeue.lease, queue, soon()) == 0);
        expect_that(least_gives(stage, "2", "SCARD corq:owners"));
    }
    redis_do(&stage->server, "DEL " INFLIGHT);
    expect_that(requeue_forget(stage->redis, requeue.lease, queue, soon()) ==
                1);
    least_close(stage);
    return 0;
}

static void an_owner_is_forgotten_only_when_nothing_is_left(void **state)
{
    struct stage *stage = *state;
    play(stage, forget_when_empty);
    assert_true(least_gives(stage, "other", "SMEMBERS corq:owners"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(all_is_in_line_again_as_it_was_taken),
        LEAST_TEST(named_attempts_go_back_once_and_no_others),
        LEAST_TEST(many_attempts_keep_their_order_across_calls),
        LEAST_TEST(bytes_and_foreign_fields_are_left_as_they_are),
        LEAST_TEST(who_goes_on_where_another_was_killed_keeps_the_order),
        LEAST_TEST(a_process_with_a_lease_is_no_orphan),
        LEAST_TEST(a_lease_that_comes_back_keeps_the_rest),
        LEAST_TEST(ones_own_go_back_with_the_lease_there),
        LEAST_TEST(a_queue_that_is_no_list_takes_nothing_and_loses_nothing),
        LEAST_TEST(keys_of_ours_of_the_wrong_type_are_told),
        LEAST_TEST(a_full_server_takes_them_back),
        LEAST_TEST(orphans_are_told_of_by_process_and_queue),
        LEAST_TEST(an_owner_is_forgotten_only_when_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
