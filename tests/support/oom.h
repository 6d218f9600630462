/*
 * Memory that runs out on purpose: the n-th allocation fails, and all after it
 * for as long as the scenario lasts.
 *
 *     static int scenario(void *argument) { … returns 0 or what failed … }
 *
 *     oom_sweep(scenario, NULL, OOM_ONE);
 *
 * A sweep runs the scenario with the first allocation failing, then with the
 * second, and so on until nothing fails any more. Each run must either work or
 * say that there was no memory, and must leave nothing allocated behind.
 *
 * Only for programs named test_oom_*: they are linked so that what our code
 * allocates comes here first. What a library allocates inside itself does not.
 */
#ifndef TESTS_SUPPORT_OOM_H
#define TESTS_SUPPORT_OOM_H

#include <stdbool.h>
#include <stddef.h>

enum oom_kind {
    OOM_ONE,  /* one allocation fails, those after it work */
    OOM_REST, /* one fails and all after it */
};

/**
 * Runs @scenario(@argument) again and again; fails the test when one run leaks
 * or returns something else than 0 and -ENOMEM, or when the run in which
 * nothing failed did not return 0.
 *
 * Returns how many allocations the whole scenario makes.
 */
size_t oom_sweep(int (*scenario)(void *argument), void *argument,
                 enum oom_kind kind);

#endif
