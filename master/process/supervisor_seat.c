#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "coro/base/clock.h"
#include "master/process/supervisor_internal.h"
#include "worker/log.h"

/* Whoever has lived so long may be replaced without a wait. */
#define SHORT_LIFE_MS 5000

#define FIRST_WAIT_MS 100
#define MOST_WAIT_MS  10000

/* A job that is known to crash does so three times only: there is progress. */
#define MOST_WAIT_BLAMED_MS 1000

/* So often in a row no seat gets a child ready, and there is no use in it; more
 * often when it did work once: memory, say, may only be short for a while. */
#define MOST_FAILED       5
#define MOST_FAILED_LATER 20

/* Doubling, from nothing. */
static int64_t wait_before(const struct seat *seat)
{
    unsigned n = seat->nfailed > 0 ? seat->nfailed : seat->nshort;
    int64_t wait_ms = FIRST_WAIT_MS;
    int64_t most_ms = seat->was_blamed ? MOST_WAIT_BLAMED_MS : MOST_WAIT_MS;
    if (n == 0)
        return 0;
    while (--n > 0 && wait_ms < most_ms)
        wait_ms *= 2;
    return wait_ms < most_ms ? wait_ms : most_ms;
}

static unsigned most_failed(const struct supervisor *supervisor)
{
    return supervisor->was_ready ? MOST_FAILED_LATER : MOST_FAILED;
}

static bool is_hopeless(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->nseats; i++)
        if (supervisor->seats[i].nfailed < most_failed(supervisor))
            return false;
    return true;
}

/* As configured it can't work, and never did. */
static bool is_refusal(const struct child *child)
{
    int status = WEXITSTATUS(child->status);
    return child->end == CHILD_END_FAILED &&
           (status == COMMAND_EXIT_CONFIGURATION ||
            status == COMMAND_EXIT_USAGE || status == COMMAND_EXIT_UNREACHABLE);
}

static void note_life(struct seat *seat, const struct child *child)
{
    seat->was_blamed = child->end == CHILD_END_CRASHED && child_job(child) != 0;
    if (child->ready_ms == 0) {
        seat->nfailed++;
        return;
    }
    bool was_short = coro_now_ms() - child->ready_ms < SHORT_LIFE_MS;
    seat->nshort = was_short ? seat->nshort + 1 : 0;
}

static void give_up(struct supervisor *supervisor, const char *what)
{
    log_line(LOG_LEVEL_ERROR, "supervisor", NULL, 0,
             "no child got ready in %u tries each, the last one: %s; giving up",
             most_failed(supervisor), what);
    supervisor_give_up(supervisor, COMMAND_EXIT_FAILURE);
}

/* What the end of @child means for its seat. Returns false when no other one is
 * to be started in it. */
static bool goes_on(struct seat *seat, const struct child *child)
{
    struct supervisor *supervisor = seat->supervisor;
    if (coro_event_is_set(&supervisor->stopping)) {
        if (child->end == CHILD_END_FAILED || child->end == CHILD_END_LEFT)
            supervisor_give_up(supervisor, COMMAND_EXIT_FAILURE);
        return false;
    }
    if (child->end == CHILD_END_ORDERLY) {
        log_line(LOG_LEVEL_INFO, "supervisor", NULL, 0,
                 "child %zu has ended, as it was told: none is started in its "
                 "place",
                 seat->number);
        return false;
    }
    if (is_refusal(child) && !supervisor->was_ready) {
        supervisor_give_up(supervisor,
                           (enum command_exit)WEXITSTATUS(child->status));
        return false;
    }
    note_life(seat, child);
    if (!is_hopeless(supervisor))
        return true;
    char what[VITALS_WHAT_BYTES];
    child_describe_end(child, what);
    give_up(supervisor, what);
    return false;
}

/* Until it has ended, or another one is to be in its place. */
static void wait_for_change(struct seat *seat, const struct child *child)
{
    while (seat->child == child && child->end == CHILD_END_NONE) {
        coro_event_clear(&seat->changed);
        if (coro_event_wait(&seat->changed, CORO_NEVER) < 0)
            return;
    }
}

static void start_one(struct seat *seat)
{
    int status = child_start(seat);
    if (status == 0)
        return;
    seat->nfailed++;
    log_line(LOG_LEVEL_ERROR, "supervisor", NULL, 0,
             "can't start child %zu: %s", seat->number, strerror(-status));
    if (is_hopeless(seat->supervisor))
        give_up(seat->supervisor, strerror(-status));
}

/* Lets the seat be empty for as long as it is better so. */
static void rest(struct seat *seat)
{
    int64_t wait_ms = wait_before(seat);
    if (wait_ms == 0 || coro_event_is_set(&seat->supervisor->stopping))
        return;
    log_line(LOG_LEVEL_INFO, "supervisor", NULL, 0,
             "child %zu is started again in %.1f s", seat->number,
             (double)wait_ms / 1000);
    coro_event_wait(&seat->supervisor->stopping, coro_after(wait_ms));
}

int seat_main(void *argument)
{
    struct seat *seat = argument;
    struct supervisor *supervisor = seat->supervisor;
    bool is_open = true;
    while (is_open && !coro_event_is_set(&supervisor->stopping)) {
        start_one(seat);
        struct child *child = seat->child;
        if (child) {
            wait_for_change(seat, child);
            if (seat->child != child)
                continue;
            is_open = goes_on(seat, child);
            child_free(child);
        }
        supervisor_tell_status(supervisor);
        if (is_open)
            rest(seat);
    }
    return 0;
}
