#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "coro/sched/task.h"
#include "master/process/notify.h"
#include "master/process/supervisor_internal.h"
#include "worker/log.h"

#define LOOK_MS 500

/* Beyond what a child needs to end in order: then it is stuck. */
#define STUCK_MS 10000

/* Whoever comes so much too late to look has stood still, and so may have
 * those that are looked at. */
#define LATE_MS 500

/* --- limits --------------------------------------------------------------- */

/* Resident memory in bytes; 0 when it is not known. */
static uint64_t resident_bytes(pid_t pid)
{
    char path[40], text[80] = "";
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    unsigned long long total = 0, resident = 0;
    if (n <= 0 || sscanf(text, "%llu %llu", &total, &resident) != 2)
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t njobs_of(const struct child *child)
{
    const struct counters *counters = &child_vitals(child)->counters;
    return counter_read(&counters->done) + counter_read(&counters->failed) +
           counter_read(&counters->interrupted);
}

static bool is_beyond_limits(const struct child *child, char why[80])
{
    const struct options *options = child->supervisor->options;
    uint64_t njobs = njobs_of(child);
    if (options->max_jobs > 0 && njobs >= options->max_jobs) {
        snprintf(why, 80, "it has run %llu jobs (--max-jobs)",
                 (unsigned long long)njobs);
        return true;
    }
    uint64_t bytes = options->max_rss_bytes ? resident_bytes(child->pid) : 0;
    if (bytes > options->max_rss_bytes) {
        snprintf(why, 80, "it takes %llu MiB of memory (--max-rss)",
                 (unsigned long long)(bytes >> 20));
        return true;
    }
    return false;
}

/* Only while everybody else is there to go on with the work. */
static void look_at_limits(struct supervisor *supervisor)
{
    char why[80];
    if (supervisor->retiring || coro_event_is_set(&supervisor->stopping) ||
        !supervisor_is_complete(supervisor))
        return;
    for (size_t i = 0; i < supervisor->nseats; i++) {
        struct child *child = supervisor->seats[i].child;
        if (!child || !is_beyond_limits(child, why))
            continue;
        log_line(LOG_LEVEL_INFO, "supervisor", NULL, 0,
                 "child %zu (%ld) is replaced: %s", child->number,
                 (long)child->pid, why);
        supervisor->retiring = child;
        coro_event_clear(&supervisor->retired);
        child_stop(child);
        child_leave_seat(child);
        return;
    }
}

/* --- progress ------------------------------------------------------------- */

static void kill_child(const struct child *child, const char *why)
{
    log_line(LOG_LEVEL_ERROR, "supervisor", NULL, 0,
             "child %zu (%ld) is killed: %s", child->number, (long)child->pid,
             why);
    kill(child->pid, SIGKILL);
}

static void look_at_progress(struct child *child)
{
    const struct supervisor *supervisor = child->supervisor;
    int64_t now_ms = coro_now_ms();
    int64_t tick_ms = atomic_load_explicit(&child_vitals(child)->tick_ms,
                                           memory_order_relaxed);
    if (tick_ms != child->tick_ms) {
        child->tick_ms = tick_ms;
        child->moved_ms = now_ms;
    }
    int64_t ending_ms = supervisor->options->shutdown_timeout_ms + STUCK_MS;
    if (child->told_ms > 0 && now_ms - child->told_ms > ending_ms)
        kill_child(child, "it does not end");
    else if (supervisor->watchdog_ms > 0 && child->tick_ms > 0 &&
             now_ms - child->moved_ms > supervisor->watchdog_ms)
        kill_child(child, "it does not move");
}

/* The service manager hears of us for as long as anybody moves, or there is
 * nobody who could: between two children. */
static void feed_watchdog(struct supervisor *supervisor)
{
    int64_t now_ms = coro_now_ms();
    bool moves = list_is_empty(&supervisor->children);
    if (supervisor->watchdog_ms == 0 ||
        now_ms - supervisor->fed_ms < supervisor->watchdog_ms / 4)
        return;
    list_foreach (link, &supervisor->children) {
        const struct child *child = list_entry(link, struct child, link);
        moves |= now_ms - child->moved_ms < supervisor->watchdog_ms;
    }
    if (!moves)
        return;
    notify("WATCHDOG=1");
    supervisor->fed_ms = now_ms;
}

/* That all of us were stopped, or had no turn, is not held against anybody. */
static void forgive(struct supervisor *supervisor, int64_t late_ms)
{
    list_foreach (link, &supervisor->children) {
        struct child *child = list_entry(link, struct child, link);
        child->moved_ms += late_ms;
        if (child->told_ms > 0)
            child->told_ms += late_ms;
    }
}

int watch_main(void *argument)
{
    struct supervisor *supervisor = argument;
    int64_t every_ms = LOOK_MS;
    if (supervisor->watchdog_ms > 0 && supervisor->watchdog_ms / 8 < every_ms)
        every_ms = supervisor->watchdog_ms / 8 + 1;
    int64_t due_ms = coro_after(every_ms);
    for (; coro_sleep(every_ms) == 0; due_ms = coro_after(every_ms)) {
        int64_t late_ms = coro_now_ms() - due_ms;
        if (late_ms > LATE_MS)
            forgive(supervisor, late_ms);
        list_foreach (link, &supervisor->children)
            look_at_progress(list_entry(link, struct child, link));
        feed_watchdog(supervisor);
        look_at_limits(supervisor);
    }
    return 0;
}
