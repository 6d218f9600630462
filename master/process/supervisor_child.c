#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "master/process/spawn.h"
#include "master/process/supervisor_internal.h"
#include "worker/log.h"

static size_t count_running(const struct child *child)
{
    return vitals_count_started(child_vitals(child),
                                child->supervisor->shared.nmarks);
}

/* --- what it says --------------------------------------------------------- */

static void became_ready(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    child->ready_ms = coro_now_ms();
    if (child->seat)
        child->seat->nfailed = 0;
    supervisor_tell_status(supervisor);
    corpse_assign(supervisor);
}

static void release_if_done(struct child *child)
{
    if (child->is_heard || !child->is_free)
        return;
    if (child->link_fd >= 0)
        close(child->link_fd);
    free(child);
}

/* Until its end of the link is closed; that it has ended the kernel tells. */
static int listen_to(void *argument)
{
    struct child *child = argument;
    struct link_message message;
    while (link_receive(child->link_fd, &message) == 1) {
        if (child->end != CHILD_END_NONE)
            continue;
        if (message.kind == LINK_READY)
            became_ready(child);
        else if (message.kind == LINK_RECOVERED)
            corpse_done(child->supervisor, child, &message);
    }
    child->is_heard = false;
    release_if_done(child);
    return 0;
}

void child_tell(struct child *child, enum link_kind kind)
{
    const struct link_message message = {.kind = kind};
    link_send(child->link_fd, &message);
}

void child_stop(struct child *child)
{
    if (child->told_ms == 0)
        child->told_ms = coro_now_ms();
    child_tell(child, LINK_STOP);
}

bool child_is_ready(const struct child *child)
{
    return child->ready_ms > 0 && child->told_ms == 0 &&
           atomic_load_explicit(&child_vitals(child)->phase,
                                memory_order_relaxed) < VITALS_PHASE_STOPPING;
}

struct child *child_find(struct supervisor *supervisor, pid_t pid)
{
    list_foreach (link, &supervisor->children) {
        struct child *child = list_entry(link, struct child, link);
        if (child->pid == pid)
            return child;
    }
    return NULL;
}

/* --- its start ------------------------------------------------------------ */

static int launch(struct child *child, int theirs)
{
    struct supervisor *supervisor = child->supervisor;
    theirs = spawn_raise(theirs);
    if (theirs < 0)
        return theirs;
    int status = spawn_child(
        &(struct spawn_options){
            .program_fd = supervisor->program_fd,
            .shared_fd = supervisor->shared.fd,
            .link_fd = theirs,
            .number = child->number,
            .nchildren = supervisor->nseats,
            .place = child->place,
        },
        &child->pid);
    close(theirs);
    return status;
}

/* Whoever can't be heard is not started. A child can't say anything before
 * this task goes on, and so nothing is missed. */
static int begin(struct child *child)
{
    static const struct coro_spawn_options listener = {.name = "listen"};
    int ends[2];
    int status = link_open(ends);
    if (status < 0)
        return status;
    child->link_fd = ends[0];
    status = coro_group_spawn(&child->supervisor->tasks, listen_to, child,
                              &listener);
    if (status < 0) {
        close(ends[0]);
        close(ends[1]);
        child->link_fd = -1;
        return status;
    }
    child->is_heard = true;
    list_append(&child->supervisor->children, &child->link);
    status = launch(child, ends[1]);
    if (status < 0)
        list_remove(&child->link);
    return status;
}

int child_start(struct seat *seat)
{
    struct supervisor *supervisor = seat->supervisor;
    struct child *child = calloc(1, sizeof *child);
    if (!child)
        return -ENOMEM;
    *child = (struct child){
        .supervisor = supervisor,
        .seat = seat,
        .number = seat->number,
        .place = corpse_take_place(supervisor),
        .link_fd = -1,
        .started_ms = coro_now_ms(),
        .moved_ms = coro_now_ms(),
    };
    int status = begin(child);
    if (status < 0) {
        supervisor->is_taken[child->place] = false;
        child_free(child);
        return status;
    }
    seat->child = child;
    if (supervisor->is_quiet)
        child_tell(child, LINK_QUIET);
    corpse_assign(supervisor);
    return 0;
}

void child_leave_seat(struct child *child)
{
    child->seat->child = NULL;
    coro_event_set(&child->seat->changed);
    child->seat = NULL;
}

/* --- its end -------------------------------------------------------------- */

void child_describe_end(const struct child *child, char what[VITALS_WHAT_BYTES])
{
    char name[16];
    if (child->end == CHILD_END_CRASHED)
        vitals_describe_crash(&child_vitals(child)->crash, what);
    else if (WIFSIGNALED(child->status))
        snprintf(what, VITALS_WHAT_BYTES, "%s",
                 vitals_signal_name(WTERMSIG(child->status), name));
    else
        snprintf(what, VITALS_WHAT_BYTES, "exit status %d",
                 WEXITSTATUS(child->status));
}

static void tell_end(const struct child *child)
{
    char what[VITALS_WHAT_BYTES];
    child_describe_end(child, what);
    if (child->end == CHILD_END_CRASHED)
        child_tell_crash(child, what);
    else if (child->end == CHILD_END_KILLED)
        log_line(LOG_LEVEL_WARN, "supervisor", NULL, 0,
                 "child %zu (%ld) was killed by %s while it ran %zu jobs",
                 child->number, (long)child->pid, what, count_running(child));
    else if (child->end == CHILD_END_LEFT)
        log_line(LOG_LEVEL_WARN, "supervisor", NULL, 0,
                 "child %zu (%ld) has ended with %s in the midst of %zu jobs: "
                 "something in it has ended the process",
                 child->number, (long)child->pid, what, count_running(child));
    else if (child->end == CHILD_END_FAILED)
        log_line(LOG_LEVEL_WARN, "supervisor", NULL, 0,
                 "child %zu (%ld) has ended with %s", child->number,
                 (long)child->pid, what);
}

/* Whatever its status: jobs that it had are still to be seen to. */
static bool is_at_work(const struct child *child)
{
    switch (atomic_load(&child_vitals(child)->phase)) {
    case VITALS_PHASE_READY:
    case VITALS_PHASE_QUIET:
        return true;
    case VITALS_PHASE_STOPPING:
        return count_running(child) > 0;
    default:
        return false;
    }
}

static enum child_end judge(const struct child *child)
{
    const struct vitals *vitals = child_vitals(child);
    if (atomic_load_explicit(&vitals->crash.cause, memory_order_acquire) !=
        VITALS_CAUSE_NONE)
        return CHILD_END_CRASHED;
    if (WIFSIGNALED(child->status))
        return CHILD_END_KILLED;
    if (is_at_work(child))
        return CHILD_END_LEFT;
    return WEXITSTATUS(child->status) == 0 ? CHILD_END_ORDERLY
                                           : CHILD_END_FAILED;
}

void child_ended(struct child *child, int status)
{
    struct supervisor *supervisor = child->supervisor;
    child->status = status;
    child->end = judge(child);
    tell_end(child);
    list_remove(&child->link);
    corpse_lost_taker(supervisor, child);
    /* Who has ended in order has given back what it had. */
    if (child->end != CHILD_END_ORDERLY && child_vitals(child)->identity[0])
        corpse_add(supervisor, child);
    else
        supervisor->is_taken[child->place] = false;
    corpse_assign(supervisor);
    if (child == supervisor->retiring) {
        supervisor->retiring = NULL;
        coro_event_set(&supervisor->retired);
    }
    if (child->seat)
        coro_event_set(&child->seat->changed);
    else
        child_free(child);
}

/* The task that listens sees the end of the link: whoever may have inherited
 * the other one, nothing more comes over it. */
void child_free(struct child *child)
{
    if (child->seat)
        child->seat->child = NULL;
    child->is_free = true;
    shutdown(child->link_fd, SHUT_RDWR);
    release_if_done(child);
}

void child_dump(const struct child *child)
{
    static const char *const phases[] = {
        [VITALS_PHASE_STARTING] = "starting",
        [VITALS_PHASE_READY] = "ready",
        [VITALS_PHASE_QUIET] = "quiet",
        [VITALS_PHASE_STOPPING] = "stopping",
        [VITALS_PHASE_ENDED] = "ended",
    };
    const struct vitals *vitals = child_vitals(child);
    uint32_t phase = atomic_load(&vitals->phase);
    const struct log_field fields[] = {
        log_int("pid", child->pid),
        log_string("phase", phase <= VITALS_PHASE_ENDED ? phases[phase] : "?"),
        log_seconds("age", (coro_now_ms() - child->started_ms) * 1000),
        log_int("done", (int64_t)counter_read(&vitals->counters.done)),
        log_int("failed", (int64_t)counter_read(&vitals->counters.failed)),
        log_int("running", (int64_t)count_running(child)),
        log_int("stalls", (int64_t)atomic_load(&vitals->nstalls)),
    };
    log_line(LOG_LEVEL_INFO, "supervisor", fields,
             sizeof fields / sizeof *fields, "child %zu", child->number);
}
