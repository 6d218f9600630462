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
 * call_soon, call_later, call_at         coro_call_soon(), _later(), _at()
 * Handle.cancel                          coro_call_cancel()      sched/call.h
 * Runner, Ctrl-C                         coro_main(), coro_runner_run()
 *                                                              sched/runner.h
 * add_signal_handler                     coro_signals_open(), _wait()
 *                                                              sched/signal.h
 * Task.print_stack                       coro_dump(), coro_task_inspect(),
 *                                        coro_loop_each_task()  sched/dump.h
 * faulthandler.enable                    coro_fault_watch()    sched/fault.h
 * create_task, current_task, all_tasks   coro_spawn(), coro_task_current(),
 *                                        _all()                  sched/task.h
 * Task.done, result, cancelled           coro_task_is_done(), _result(),
 *                                        _is_cancelled()
 * a result that is an object             coro_task_return(), _value(),
 *                                        _take_value()
 * Task.cancel, uncancel, cancelling      coro_task_cancel(), _uncancel(),
 *                                        _ncancels()
 * get_name, set_name                     coro_task_name(), _set_name()
 * a context variable, for one number      coro_tag(), _set()      sched/tag.h
 * sleep, sleep(0)                        coro_sleep(), coro_relax()
 * Future, set_result, set_exception      coro_future_init(), _set()
 *                                                              sched/future.h
 * Future.result, cancel                  coro_future_status(), _value(),
 *                                        _cancel()
 * add_done_callback                      coro_future_add_callback()
 * InvalidStateError                      -EALREADY, -EINPROGRESS
 * await future                           coro_future_await(), _wait()
 * await task                             coro_await(), coro_task_wait()
 *                                                               sched/await.h
 * wait_for, shield                       coro_wait_for(), coro_shield()
 * timeout, timeout_at                    coro_timeout_begin(), _end()
 *                                                             sched/timeout.h
 * gather, wait                           coro_gather(), coro_wait()
 *                                                              sched/gather.h
 * as_completed                           coro_as_completed_next()
 *                                                        sched/as_completed.h
 * TaskGroup                              coro_group_begin(), _spawn(), _end()
 *                                                               sched/group.h
 * Lock                                   coro_lock_acquire(), _release()
 *                                                                sched/lock.h
 * Event                                  coro_event_set(), _wait()
 *                                                               sched/event.h
 * Condition                              coro_condition_wait(), _wait_for(),
 *                                        _notify()          sched/condition.h
 * Semaphore, BoundedSemaphore            coro_semaphore_acquire(), _release()
 *                                                           sched/semaphore.h
 * Barrier                                coro_barrier_wait(), _abort(),
 *                                        _reset()             sched/barrier.h
 * Queue(maxsize), LifoQueue,             coro_queue_init(), _init_lifo(),
 * PriorityQueue                          _init_priority()       sched/queue.h
 * Queue.put, get, put_nowait, get_nowait coro_queue_put(), _get(),
 *                                        _try_put(), _try_get()
 * Queue.task_done, join                  coro_queue_task_done(), _join()
 * call_soon_threadsafe                   coro_call_soon_threadsafe()
 *                                                               sched/inbox.h
 * run_coroutine_threadsafe               coro_submit()         sched/remote.h
 * concurrent.futures.Future              coro_remote_result(), _cancel(),
 *                                        _add_callback()
 * await wrap_future(future)              coro_remote_await(), _wait()
 * to_thread, run_in_executor             coro_run_in_thread()
 *                                                            sched/executor.h
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
 *   leads one door, its inbox; and one leads out, to the threads of its executor.
 */
#ifndef CORO_H
#define CORO_H

#include "coro/base/clock.h"
#include "coro/base/list.h"
#include "coro/core/context.h"
#include "coro/core/stack.h"
#include "coro/io/redis.h"
#include "coro/sched/as_completed.h"
#include "coro/sched/await.h"
#include "coro/sched/barrier.h"
#include "coro/sched/call.h"
#include "coro/sched/condition.h"
#include "coro/sched/defer.h"
#include "coro/sched/dump.h"
#include "coro/sched/event.h"
#include "coro/sched/executor.h"
#include "coro/sched/fault.h"
#include "coro/sched/future.h"
#include "coro/sched/gather.h"
#include "coro/sched/generator.h"
#include "coro/sched/group.h"
#include "coro/sched/inbox.h"
#include "coro/sched/lock.h"
#include "coro/sched/loop.h"
#include "coro/sched/queue.h"
#include "coro/sched/remote.h"
#include "coro/sched/runner.h"
#include "coro/sched/semaphore.h"
#include "coro/sched/signal.h"
#include "coro/sched/submit.h"
#include "coro/sched/tag.h"
#include "coro/sched/task.h"
#include "coro/sched/timeout.h"

#endif
