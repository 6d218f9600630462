/*
 * Reconciling: after a reconnect, compares what Redis has in flight for this
 * process with what is known here.
 *
 * An answer that was cut on its way here may have left jobs in flight that
 * nobody runs. They are started now, as far as there is credit; the rest goes
 * back to its queue.
 */
#ifndef MASTER_QUEUE_RECONCILE_H
#define MASTER_QUEUE_RECONCILE_H

#include "master/queue/fetch.h"

/**
 * Does so for all queues of @fetch, which has no burst under way: first waits
 * until what was sent over an earlier connection to settle jobs is answered.
 * With success the owner's must_reconcile is cleared; else it is to be called
 * again, on the connection that there is then.
 *
 * Returns 0, -EAGAIN or -ECANCELED. Context: coroutine on the loop thread, with
 * a large stack. Suspends; a cancellation point.
 */
int reconcile(struct fetch *fetch);

#endif
