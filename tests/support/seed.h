/*
 * Tests that draw lots: each run another, and any one again.
 *
 *     struct coro_rng rng;
 *     seed_rng(&rng);
 *
 * The seed is printed; CORQ_TEST_SEED gives it.
 */
#ifndef TESTS_SUPPORT_SEED_H
#define TESTS_SUPPORT_SEED_H

#include "coro/base/random.h"

/** Starts @rng from the seed that is given, or else from one of its own. */
void seed_rng(struct coro_rng *rng);

#endif
