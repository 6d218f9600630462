/*
 * A page of counters that the worker thread writes and the master reads.
 *
 * Each has one writer, so adding is a plain load and store, and the reader may
 * be a little behind.
 */
#ifndef WORKER_COUNTERS_H
#define WORKER_COUNTERS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

struct counters {
    alignas(64) _Atomic(uint64_t) started;
    _Atomic(uint64_t) done;
    _Atomic(uint64_t) failed;
    _Atomic(uint64_t) interrupted;
    _Atomic(uint64_t) coroutines; /* how many there are to run jobs */
};

/** One more. Context: the counter's one writer. */
static inline void counter_add(_Atomic(uint64_t) *counter)
{
    uint64_t count = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, count + 1, memory_order_relaxed);
}

/** The present count. Context: any thread. */
static inline uint64_t counter_read(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
