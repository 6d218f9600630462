/*
 * Boost's context switch, whose functions have a C interface, where its library
 * is installed. It is looked for when the benchmark runs: nothing is linked.
 */
#ifndef BENCH_BOOST_H
#define BENCH_BOOST_H

#include <stdbool.h>
#include <stddef.h>

/* Whom we came from, and what they gave us. */
struct boost_transfer {
    void *context;
    void *data;
};

typedef struct boost_transfer boost_jump_fn(void *to, void *data);

typedef void *boost_make_fn(void *top, size_t size_bytes,
                            void (*entry)(struct boost_transfer from));

/** Finds the two functions; false when the library is not there. */
bool boost_open(boost_jump_fn **ret_jump, boost_make_fn **ret_make);

#endif
