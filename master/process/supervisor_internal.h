/*
 * Inside of the supervisor. Internal to these files:
 *
 *     supervisor.c         from beginning to end; signals; the service manager
 *     supervisor_seat.c    one seat for each child that there should be: when a
 *                          new one is started in it
 *     supervisor_child.c   one process: its start, what it says, how it ended
 *     supervisor_crash.c   what there is to say about one that crashed
 *     supervisor_corpse.c  what a dead child has left, until it is recovered
 *     supervisor_watch.c   what is looked at every so often: limits, progress
 */
#ifndef MASTER_PROCESS_SUPERVISOR_INTERNAL_H
#define MASTER_PROCESS_SUPERVISOR_INTERNAL_H

#include <stdbool.h>

#include "coro/base/backoff.h"
#include "coro/base/list.h"
#include "coro/sched/event.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "master/process/link.h"
#include "master/process/shared.h"
#include "master/process/signals.h"
#include "master/process/supervisor.h"

enum child_end {
    CHILD_END_NONE,    /* it lives */
    CHILD_END_ORDERLY, /* status 0 */
    CHILD_END_FAILED,  /* another status */
    CHILD_END_CRASHED, /* it said itself of what it dies */
    CHILD_END_KILLED,  /* by a signal from outside */
    CHILD_END_LEFT,    /* a status, but nobody had told it to end */
};

struct supervisor;

/* One process. */
struct child {
    struct list link; /* among all that live */
    struct supervisor *supervisor;
    struct seat *seat; /* NULL: another one has it by now */
    size_t number;     /* of the seat, for people */
    size_t place;      /* of its vitals */
    pid_t pid;
    int link_fd;
    int64_t started_ms;
    int64_t ready_ms; /* 0: not yet */
    int64_t told_ms;  /* when it was told to end; 0: it was not */
    int64_t moved_ms; /* when its tick was last seen to have changed */
    int64_t tick_ms;
    enum child_end end;
    int status;    /* of waitpid() */
    bool is_heard; /* there is a task that listens to it */
    bool is_free;  /* nobody else has use for it */
};

struct seat {
    struct supervisor *supervisor;
    size_t number;       /* from 1 */
    struct child *child; /* NULL: between two */
    unsigned nfailed;    /* starts in a row that did not get ready */
    unsigned nshort;     /* lives in a row that were short */
    bool was_blamed;     /* the last one died of a job that is known */
    struct coro_event changed;
};

/* What is left of a child: its place is not used until it was seen to. */
struct corpse {
    struct list link;
    size_t place;
    size_t number;
    pid_t pid;
    enum link_cause cause;
    int signal;          /* that ended it, or 0 */
    struct child *taker; /* who sees to it; NULL: nobody yet */
};

struct supervisor {
    const struct options *options;
    struct embedded *embedded;
    struct coro_loop *loop;
    struct coro_group tasks; /* whatever ends with the loop */
    struct coro_group seats_group;
    struct coro_source log;
    struct signals signals;
    struct shared shared;
    int program_fd;

    struct seat *seats;
    size_t nseats;
    bool *is_taken; /* by place */
    size_t nplaces;
    struct list children;   /* that live */
    struct list corpses;    /* oldest first */
    struct child *retiring; /* that is being replaced */
    struct coro_event retired;

    struct coro_event stopping;
    bool is_quiet;
    bool was_ready;
    enum command_exit result;
    int64_t watchdog_ms; /* 0: none */
    int64_t fed_ms;
};

/* --- supervisor.c --- */

/** Has all children end, and no new ones start. */
void supervisor_stop(struct supervisor *supervisor);

/** The same, because there is no use in going on. */
void supervisor_give_up(struct supervisor *supervisor, enum command_exit why);

/** Tells the service manager how many are ready. */
void supervisor_tell_status(struct supervisor *supervisor);

/** True when all seats have a child that is ready. */
bool supervisor_is_complete(const struct supervisor *supervisor);

/* --- supervisor_seat.c --- */

/** Keeps a child in the seat until all are to end. A task's function. */
int seat_main(void *seat);

/* --- supervisor_child.c --- */

/** What it notes of itself, and has noted when it has ended. */
static inline struct vitals *child_vitals(const struct child *child)
{
    return shared_vitals(&child->supervisor->shared, child->place);
}

/** Starts a child in @seat. Returns 0 or a negative errno. */
int child_start(struct seat *seat);

/** Tells it something; what it can't be told any more is lost. */
void child_tell(struct child *child, enum link_kind kind);

/** Tells it to end, and notes when. */
void child_stop(struct child *child);

/** Its seat is another one's from now on. */
void child_leave_seat(struct child *child);

/** The kernel says that it has ended. */
void child_ended(struct child *child, int status);

/** Frees what there is of it, its place excepted. It has ended, or never was
 * started. */
void child_free(struct child *child);

/** The living child with this pid, or NULL. */
struct child *child_find(struct supervisor *supervisor, pid_t pid);

/** True when it takes jobs. */
bool child_is_ready(const struct child *child);

/** Logs how it fares. */
void child_dump(const struct child *child);

/** Of what it has died, in words. */
void child_describe_end(const struct child *child,
                        char what[VITALS_WHAT_BYTES]);

/* --- supervisor_crash.c --- */

/** The job that it died of, by its number; 0: of none. */
uint64_t child_job(const struct child *child);

/** Logs what @child has crashed of, and whose work that was. */
void child_tell_crash(const struct child *child, const char *what);

/* --- supervisor_corpse.c --- */

/** Keeps what @child, which has died, has left in Redis for somebody else. */
void corpse_add(struct supervisor *supervisor, const struct child *child);

/** Gives those that nobody sees to to children that take jobs or will soon. */
void corpse_assign(struct supervisor *supervisor);

/** @child has seen to what lies at a place. */
void corpse_done(struct supervisor *supervisor, const struct child *child,
                 const struct link_message *message);

/** @child is gone: what it was to see to is nobody's again. */
void corpse_lost_taker(struct supervisor *supervisor,
                       const struct child *child);

/** Drops all that are left; returns how many those were. */
size_t corpse_drop_all(struct supervisor *supervisor);

/** A place for a new child; drops the oldest corpse when there is no other. */
size_t corpse_take_place(struct supervisor *supervisor);

/* --- supervisor_watch.c --- */

/** Looks at everybody every so often. A task's function. */
int watch_main(void *supervisor);

#endif
