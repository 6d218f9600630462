/*
 * The service: everything that `corq run` runs, put together.
 *
 *     signals ─▶ service ─▶ fetch ─▶ dispatch ─▶ worker thread
 *                                       └─▶ settle ─▶ Redis
 *
 * It lives in the master thread's loop. Its phases:
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

    /* NULL, or whether the server is known to be gone for good; asked, with
     * @argument, when a connection is lost. The service then stops. */
    bool (*has_lost_redis)(void *argument);
    void *argument;
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
