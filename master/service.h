/*
 * The service: everything that `corq run` runs, put together.
 *
 *     signals ─▶ service ─▶ fetch ─▶ dispatch ─▶ worker thread
 *                                       └─▶ settle ─▶ Redis
 *
 * It lives in the master thread's loop of a child, whose supervisor may tell it
 * to stop as signals do. Its phases:
 *
 *     STARTING   connecting, looking at the server
 *        │ the server answered            │ TERM, INT: straight to the end
 *        ▼
 *     RUNNING ───▶ QUIET (TSTP: takes nothing more, until it ends)
 *        │ TERM, INT
 *        ▼
 *     DRAINING   takes nothing more; what runs may end, for a while
 *        │ the while is over, or a second TERM or INT
 *        ▼
 *     CANCELLING what runs is cancelled; then set aside, whatever it does
 *        │
 *        ▼
 *     ENDED
 */
#ifndef MASTER_SERVICE_H
#define MASTER_SERVICE_H

#include "coro/sched/loop.h"
#include "master/options.h"
#include "master/process/shared.h"
#include "worker/handler.h"

enum service_end {
    SERVICE_END_OK,          /* asked to end, and nothing is left over */
    SERVICE_END_FAILED,      /* it could not go on, or left something over */
    SERVICE_END_UNREACHABLE, /* no Redis within --wait-redis */
    SERVICE_END_REFUSED,     /* Redis won't have us as configured */
};

struct service_options {
    const struct options *options;
    const struct registry *registry;

    /* Of a child: what it shares with its supervisor, and the link to it, which
     * the service closes. NULL: there is none. */
    const struct shared *shared;
    size_t place; /* of its own vitals in there */
    int link_fd;
    bool is_one_of_many; /* another child tells what is wrong with the server,
                            and looks for what was left by dead processes */
};

struct service_result {
    enum service_end end;
    bool is_thread_stuck; /* a handler never ended: leave by _exit() */
};

/**
 * Runs the service until it is asked to end. Logs what goes wrong.
 *
 * Context: the main thread, outside of any loop, with signals_block() done.
 */
struct service_result service_run(const struct service_options *options);

#endif
