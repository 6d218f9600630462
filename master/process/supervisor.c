#include "master/process/supervisor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "coro/sched/loop.h"
#include "master/process/descriptors.h"
#include "master/process/notify.h"
#include "master/process/spawn.h"
#include "master/process/supervisor_internal.h"
#include "worker/log.h"

/* Each child may be replaced while it still ends, and some may be dead that
 * nobody can see to just now. */
#define PLACES_A_CHILD 3
#define PLACES_MORE    4

static void each_child(struct supervisor *supervisor,
                       void (*visit)(struct child *child))
{
    list_foreach_safe (link, &supervisor->children)
        visit(list_entry(link, struct child, link));
}

/* --- stopping ------------------------------------------------------------- */

static void hurry(struct child *child)
{
    child_tell(child, LINK_HURRY);
}

void supervisor_stop(struct supervisor *supervisor)
{
    if (coro_event_is_set(&supervisor->stopping))
        return;
    notify("STOPPING=1\nSTATUS=Stopping");
    each_child(supervisor, child_stop);
    coro_event_set(&supervisor->stopping);
}

void supervisor_give_up(struct supervisor *supervisor, enum command_exit why)
{
    if (supervisor->result == COMMAND_EXIT_OK)
        supervisor->result = why;
    supervisor_stop(supervisor);
}

static void ask_to_stop(struct supervisor *supervisor, const char *name)
{
    if (!coro_event_is_set(&supervisor->stopping)) {
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s received", name);
        supervisor_stop(supervisor);
        return;
    }
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
             "%s received again: not waiting for jobs any longer", name);
    each_child(supervisor, hurry);
}

/* --- signals -------------------------------------------------------------- */

static void quiet(struct child *child)
{
    child_tell(child, LINK_QUIET);
}

static void dump(struct child *child)
{
    child_dump(child);
    child_tell(child, LINK_DUMP);
}

static void go_quiet(struct supervisor *supervisor)
{
    supervisor->is_quiet = true;
    each_child(supervisor, quiet);
    notify("STATUS=Quiet: taking no more jobs");
}

static void lost_redis(struct supervisor *supervisor)
{
    if (coro_event_is_set(&supervisor->stopping))
        return;
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0,
             "the private Redis has ended by itself; its log, redis.log, is "
             "with its data");
    supervisor_give_up(supervisor, COMMAND_EXIT_FAILURE);
}

/* As process 1 we get what others have left, too. */
static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *child = child_find(supervisor, pid);
        if (child)
            child_ended(child, status);
        else if (embedded_note_end(supervisor->embedded, pid))
            lost_redis(supervisor);
    }
}

static void on_signal(void *argument, int number)
{
    struct supervisor *supervisor = argument;
    switch (number) {
    case SIGCHLD:
        reap(supervisor);
        break;
    case SIGTERM:
        ask_to_stop(supervisor, "SIGTERM");
        break;
    case SIGINT:
        ask_to_stop(supervisor, "SIGINT");
        break;
    case SIGTSTP:
        go_quiet(supervisor);
        break;
    case SIGUSR2:
    case SIGTTIN:
        each_child(supervisor, dump);
        break;
    case SIGHUP:
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "SIGHUP: there is no configuration file to read again");
        break;
    default:
        break;
    }
}

/* --- the service manager -------------------------------------------------- */

static size_t count_ready(const struct supervisor *supervisor)
{
    size_t n = 0;
    for (size_t i = 0; i < supervisor->nseats; i++) {
        const struct child *child = supervisor->seats[i].child;
        n += child && child->end == CHILD_END_NONE && child_is_ready(child);
    }
    return n;
}

bool supervisor_is_complete(const struct supervisor *supervisor)
{
    return count_ready(supervisor) == supervisor->nseats;
}

void supervisor_tell_status(struct supervisor *supervisor)
{
    char state[100];
    size_t nready = count_ready(supervisor);
    if (coro_event_is_set(&supervisor->stopping) || supervisor->is_quiet)
        return;
    bool is_first = nready > 0 && !supervisor->was_ready;
    supervisor->was_ready |= nready > 0;
    snprintf(state, sizeof state, "%sSTATUS=Running: %zu of %zu ready",
             is_first ? "READY=1\n" : "", nready, supervisor->nseats);
    notify(state);
}

/* What it expects of us; 0: nothing. */
static int64_t watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    int64_t ms = strtoll(usec, NULL, 10) / 1000;
    return ms > 0 ? ms : 0;
}

/* --- from beginning to end ------------------------------------------------ */

static int start_seats(struct supervisor *supervisor)
{
    static const struct coro_spawn_options watcher = {.name = "watch"};
    static const struct coro_spawn_options keeper = {.name = "seat",
                                                     .large_stack = true};
    int status =
        coro_group_spawn(&supervisor->tasks, watch_main, supervisor, &watcher);
    for (size_t i = 0; i < supervisor->nseats && status == 0; i++) {
        struct seat *seat = &supervisor->seats[i];
        *seat = (struct seat){.supervisor = supervisor, .number = i + 1};
        coro_event_init(&seat->changed);
        status = coro_group_spawn(&supervisor->seats_group, seat_main, seat,
                                  &keeper);
    }
    return status;
}

static void tell_left(struct supervisor *supervisor)
{
    size_t nleft = corpse_drop_all(supervisor);
    if (nleft > 0)
        log_line(LOG_LEVEL_WARN, "supervisor", NULL, 0,
                 "%zu children died while nobody was left to give their jobs "
                 "back: others do, when their leases have run out",
                 nleft);
}

static int supervisor_main(void *argument)
{
    struct supervisor *supervisor = argument;
    int status = signals_start(&supervisor->signals, &supervisor->tasks,
                               on_signal, supervisor);
    /* What has ended before signals were watched was told to nobody. */
    reap(supervisor);
    if (status == 0)
        status = start_seats(supervisor);
    if (status < 0) {
        log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "can't start: %s",
                 strerror(-status));
        supervisor_give_up(supervisor, COMMAND_EXIT_FAILURE);
    }
    coro_group_wait(&supervisor->seats_group, CORO_NEVER);
    while (supervisor->retiring)
        coro_event_wait(&supervisor->retired, CORO_NEVER);
    tell_left(supervisor);
    coro_group_close(&supervisor->tasks);
    signals_stop(&supervisor->signals);
    return 0;
}

static void end_turn(struct coro_source *source)
{
    (void)source;
    log_flush();
}

static int run_loop(struct supervisor *supervisor)
{
    int status = coro_loop_new(NULL, &supervisor->loop);
    if (status < 0)
        return status;
    coro_group_init(&supervisor->tasks, supervisor->loop);
    coro_group_init(&supervisor->seats_group, supervisor->loop);
    supervisor->log.flush = end_turn;
    coro_loop_add_source(supervisor->loop, &supervisor->log);
    struct coro_task *task;
    status = coro_spawn(
        supervisor->loop, supervisor_main, supervisor,
        &(struct coro_spawn_options){.name = "supervisor", .large_stack = true},
        &task);
    if (status == 0) {
        coro_loop_run_until_complete(supervisor->loop, task, NULL);
        coro_task_unref(task);
    }
    coro_loop_free(supervisor->loop);
    return status;
}

static size_t ncores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) < 0 ? 1
                                                      : (size_t)CPU_COUNT(&set);
}

static int provide_descriptors(const struct supervisor *supervisor)
{
    size_t limit, needed = descriptors_needed(
                      supervisor->nseats, supervisor->options->queues.count);
    int status = descriptors_provide(needed, &limit);
    if (status < 0)
        log_line(LOG_LEVEL_ERROR, NULL, NULL, 0,
                 "too few file descriptors: found a limit of %zu, expected at "
                 "least %zu (ulimit -n, or LimitNOFILE in a unit)",
                 limit, needed);
    return status;
}

static int prepare(struct supervisor *supervisor)
{
    const struct options *options = supervisor->options;
    supervisor->nseats = options->processes == OPTIONS_PROCESSES_AUTO
                             ? ncores()
                             : (size_t)options->processes;
    supervisor->nplaces = PLACES_A_CHILD * supervisor->nseats + PLACES_MORE;
    supervisor->seats = calloc(supervisor->nseats, sizeof *supervisor->seats);
    supervisor->is_taken = calloc(supervisor->nplaces, sizeof(bool));
    if (!supervisor->seats || !supervisor->is_taken)
        return -ENOMEM;
    int status = provide_descriptors(supervisor);
    if (status < 0)
        return status;
    supervisor->program_fd = spawn_open_program();
    if (supervisor->program_fd < 0)
        return supervisor->program_fd;
    status =
        shared_create(&supervisor->shared, &(struct shared_options){
                                               .nplaces = supervisor->nplaces,
                                               .nmarks = options->concurrency,
                                               .nwords = options->nwords,
                                               .words = options->words,
                                           });
    if (status == 0)
        supervisor->shared.fd = spawn_raise(supervisor->shared.fd);
    return status < 0 ? status
                      : (supervisor->shared.fd < 0 ? supervisor->shared.fd : 0);
}

static void release(struct supervisor *supervisor)
{
    shared_release(&supervisor->shared);
    if (supervisor->program_fd >= 0)
        close(supervisor->program_fd);
    free(supervisor->is_taken);
    free(supervisor->seats);
}

enum command_exit supervisor_run(const struct supervisor_options *options)
{
    struct supervisor supervisor = {
        .options = options->options,
        .embedded = options->embedded,
        .signals = {.fd = -1},
        .program_fd = -1,
        .shared = {.fd = -1},
        .watchdog_ms = watchdog_ms(),
    };
    list_init(&supervisor.children);
    list_init(&supervisor.corpses);
    coro_event_init(&supervisor.retired);
    coro_event_init(&supervisor.stopping);
    int status = prepare(&supervisor);
    if (status == 0)
        status = run_loop(&supervisor);
    if (status < 0) {
        log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "can't start: %s",
                 strerror(-status));
        supervisor.result = COMMAND_EXIT_FAILURE;
    }
    release(&supervisor);
    return supervisor.result;
}
