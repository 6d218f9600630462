/*
 * coro: asyncio for C. This is the map; it includes everything else.
 *
 * A coroutine is a function that can wait without blocking its thread. It is
 * written in straight lines; wherever it calls something that suspends, the
 * loop runs others until there is something to go on with.
 *
 * What asyncio calls                     is here
 * ------------------------------------   ------------------------------------
 * generator: yield, next, send, throw,   coro_yield(), coro_gen_next(),
 * close, inspect.getgeneratorstate       _send(), _throw(), _close(), _state()
 *                                                           sched/generator.h
 * try … finally, contextlib.ExitStack,   coro_defer(), coro_undefer(),
 * memory that frees itself               coro_alloc(), coro_format(), _strdup()
 *                                                               sched/defer.h
 * asyncio.run                            coro_run()              sched/loop.h
 * new_event_loop, run_forever, stop      coro_loop_new(), coro_loop_run_
 *                                        forever(), coro_loop_stop()
 * run_until_complete, close              coro_loop_run_until_complete(),
 *                                        coro_loop_free()
 * call_soon                              coro_loop_call_soon()
 * Task.print_stack, all_tasks            coro_dump(), coro_task_inspect(),
 *                                        coro_loop_each_task()  sched/dump.h
 * create_task, current_task              coro_spawn(), coro_task_current()
 *                                                                sched/task.h
 * Task.cancel, uncancel, cancelling      coro_task_cancel(), _uncancel(),
 *                                        _is_cancelling()
 * sleep, sleep(0)                        coro_sleep(), coro_relax()
 * Future, set_result, add_done_callback  coro_future_init(), _set(),
 *                                        _add_callback()       sched/future.h
 * await future                           coro_future_wait()
 * TaskGroup                              coro_group_spawn(), _wait(),
 *                                        _close()               sched/group.h
 * Queue(maxsize)                         coro_queue_init(), _put(), _get()
 *                                                               sched/queue.h
 * call_soon_threadsafe                   coro_submit_push()    sched/submit.h
 * redis.asyncio                          coro_redis_call()        io/redis.h
 *
 * Ground rules
 *
 * - A function that suspends says so ("Context:"). It takes one absolute
 *   deadline, last (make one with coro_after(500)), returns 0 or a positive
 *   value for success and a negative errno for failure, and is a cancellation
 *   point: -ECANCELED.
 * - Callbacks complete futures; only the loop resumes.
 * - What becomes ready first runs first.
 * - A loop and everything in it belong to one thread. Into it from elsewhere
 *   leads one door: the submit queue.
 */
#ifndef CORO_H
#define CORO_H

#include "coro/base/clock.h"
#include "coro/base/list.h"
#include "coro/core/context.h"
#include "coro/core/stack.h"
#include "coro/io/redis.h"
#include "coro/sched/defer.h"
#include "coro/sched/dump.h"
#include "coro/sched/future.h"
#include "coro/sched/generator.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/queue.h"
#include "coro/sched/submit.h"
#include "coro/sched/task.h"

#endif
