#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/barrier.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

#define NPARTIES 3

struct party {
    struct coro_barrier *barrier;
    int nrounds;
    struct coro_task *task;
    int numbers[4]; /* what each round returned */
};

static int wait_in_rounds(void *argument)
{
    struct party *party = argument;
    for (int round = 0; round < party->nrounds; round++)
        party->numbers[round] = coro_barrier_wait(party->barrier, CORO_NEVER);
    return party->numbers[0];
}

static void start(struct coro_barrier *barrier, struct party *parties,
                  int count, int nrounds)
{
    for (int i = 0; i < count; i++) {
        parties[i] = (struct party){.barrier = barrier, .nrounds = nrounds};
        parties[i].task = task_start(wait_in_rounds, &parties[i]);
    }
    task_settle();
}

static void end(struct party *parties, int count)
{
    for (int i = 0; i < count; i++)
        task_end(parties[i].task);
}

static int all_go_on_when_the_last_has_come(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES];
    coro_barrier_init(&barrier, NPARTIES);
    for (int i = 0; i < NPARTIES - 1; i++) {
        start(&barrier, &parties[i], 1, 1);
        expect_that(coro_barrier_nwaiting(&barrier) == i + 1);
        expect_that(!coro_task_is_done(parties[0].task));
    }
    start(&barrier, &parties[NPARTIES - 1], 1, 1);
    expect_that(coro_barrier_nwaiting(&barrier) == 0);
    for (int i = 0; i < NPARTIES; i++)
        expect_that(parties[i].numbers[0] == i);
    expect_that(!coro_barrier_is_broken(&barrier));
    end(parties, NPARTIES);
    return 0;
}

static int a_barrier_for_one_holds_up_nobody(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    coro_barrier_init(&barrier, 1);
    expect_that(coro_barrier_wait(&barrier, 0) == 0);
    expect_that(coro_barrier_wait(&barrier, 0) == 0);
    expect_that(coro_barrier_nwaiting(&barrier) == 0);
    return 0;
}

static int rounds_do_not_mix_and_each_has_its_numbers(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, NPARTIES, 4);
    end(parties, NPARTIES);
    for (int round = 0; round < 4; round++) {
        int sum = 0;
        for (int i = 0; i < NPARTIES; i++)
            sum += 1 << parties[i].numbers[round];
        expect_that(sum == (1 << NPARTIES) - 1);
    }
    expect_that(coro_barrier_nwaiting(&barrier) == 0);
    return 0;
}

static int who_comes_while_others_leave_waits_for_the_next_round(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES - 1];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, NPARTIES - 1, 1);
    expect_that(coro_barrier_wait(&barrier, CORO_NEVER) == NPARTIES - 1);
    /* The others are let go but have not run. */
    expect_that(coro_barrier_wait(&barrier, coro_after(1)) == -ETIMEDOUT);
    expect_that(parties[0].numbers[0] == 0 && parties[1].numbers[0] == 1);
    end(parties, NPARTIES - 1);
    return 0;
}

static int who_gives_up_leaves_its_place_to_another(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[4];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, 2, 1);
    coro_task_cancel(parties[0].task);
    task_settle();
    expect_that(parties[0].numbers[0] == -ECANCELED);
    expect_that(coro_barrier_nwaiting(&barrier) == 1);
    expect_that(coro_barrier_wait(&barrier, coro_after(1)) == -ETIMEDOUT);
    expect_that(coro_barrier_nwaiting(&barrier) == 1);
    expect_that(!coro_barrier_is_broken(&barrier));
    start(&barrier, &parties[2], 2, 1);
    expect_that(parties[1].numbers[0] == 0 && parties[3].numbers[0] == 2);
    end(parties, 4);
    return 0;
}

static int who_gave_up_is_gone_before_it_has_run(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[4];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, 2, 1);
    coro_task_cancel(parties[0].task);
    expect_that(coro_barrier_nwaiting(&barrier) == 1);
    expect_that(coro_barrier_wait(&barrier, coro_after(1)) == -ETIMEDOUT);
    expect_that(!coro_task_is_done(parties[1].task));
    expect_that(coro_barrier_nwaiting(&barrier) == 1);
    start(&barrier, &parties[2], 2, 1);
    expect_that(parties[1].numbers[0] == 0 && parties[3].numbers[0] == 2);
    end(parties, 4);
    return 0;
}

static int who_gave_up_is_not_missing_after_a_reset(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, 1, 1);
    coro_task_cancel(parties[0].task);
    coro_barrier_reset(&barrier);
    task_settle();
    expect_that(parties[0].numbers[0] == -ECANCELED);
    expect_that(coro_barrier_nwaiting(&barrier) == 0);
    end(parties, 1);
    start(&barrier, parties, NPARTIES, 1);
    expect_that(coro_task_is_done(parties[0].task));
    coro_barrier_abort(&barrier); /* for who would wait in vain */
    end(parties, NPARTIES);
    return 0;
}

static int a_reset_sends_away_who_waits_and_begins_anew(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES - 1];
    coro_barrier_init(&barrier, NPARTIES);
    coro_barrier_reset(&barrier); /* Nobody is there. */
    start(&barrier, parties, NPARTIES - 1, 2);
    coro_barrier_reset(&barrier);
    task_settle();
    for (int i = 0; i < NPARTIES - 1; i++)
        expect_that(parties[i].numbers[0] == -EPIPE);
    expect_that(!coro_barrier_is_broken(&barrier));
    /* They wait again, and the round is complete with this one. */
    expect_that(coro_barrier_nwaiting(&barrier) == NPARTIES - 1);
    expect_that(coro_barrier_wait(&barrier, 0) == NPARTIES - 1);
    end(parties, NPARTIES - 1);
    expect_that(parties[0].numbers[1] == 0);
    return 0;
}

static int a_reset_does_not_reach_who_was_let_go(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES - 1];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, NPARTIES - 1, 1);
    expect_that(coro_barrier_wait(&barrier, 0) == NPARTIES - 1);
    coro_barrier_reset(&barrier);
    end(parties, NPARTIES - 1);
    expect_that(parties[0].numbers[0] == 0 && parties[1].numbers[0] == 1);
    return 0;
}

static int an_abort_sends_away_who_waits_and_who_comes(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES - 1];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, NPARTIES - 1, 1);
    coro_barrier_abort(&barrier);
    expect_that(coro_barrier_is_broken(&barrier));
    expect_that(coro_barrier_nwaiting(&barrier) == 0);
    end(parties, NPARTIES - 1);
    expect_that(parties[0].numbers[0] == -EPIPE);
    expect_that(coro_barrier_wait(&barrier, CORO_NEVER) == -EPIPE);
    return 0;
}

static int an_abort_does_not_reach_who_was_let_go(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES - 1];
    coro_barrier_init(&barrier, NPARTIES);
    start(&barrier, parties, NPARTIES - 1, 2);
    expect_that(coro_barrier_wait(&barrier, 0) == NPARTIES - 1);
    coro_barrier_abort(&barrier);
    end(parties, NPARTIES - 1);
    expect_that(parties[0].numbers[0] == 0 && parties[1].numbers[0] == 1);
    expect_that(parties[0].numbers[1] == -EPIPE);
    return 0;
}

static int after_an_abort_a_reset_makes_it_whole(void *argument)
{
    (void)argument;
    struct coro_barrier barrier;
    struct party parties[NPARTIES];
    coro_barrier_init(&barrier, NPARTIES);
    coro_barrier_abort(&barrier);
    coro_barrier_reset(&barrier);
    expect_that(!coro_barrier_is_broken(&barrier));
    start(&barrier, parties, NPARTIES, 1);
    for (int i = 0; i < NPARTIES; i++)
        expect_that(parties[i].numbers[0] == i);
    end(parties, NPARTIES);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(all_go_on_when_the_last_has_come),
        task_test(a_barrier_for_one_holds_up_nobody),
        task_test(rounds_do_not_mix_and_each_has_its_numbers),
        task_test(who_comes_while_others_leave_waits_for_the_next_round),
        task_test(who_gives_up_leaves_its_place_to_another),
        task_test(who_gave_up_is_gone_before_it_has_run),
        task_test(who_gave_up_is_not_missing_after_a_reset),
        task_test(a_reset_sends_away_who_waits_and_begins_anew),
        task_test(a_reset_does_not_reach_who_was_let_go),
        task_test(an_abort_sends_away_who_waits_and_who_comes),
        task_test(an_abort_does_not_reach_who_was_let_go),
        task_test(after_an_abort_a_reset_makes_it_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
