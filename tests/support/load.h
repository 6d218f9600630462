/*
 * A load: numbered jobs that take a moment each, run by the programs of a
 * scene while something happens to them, and judged at the end.
 *
 *     struct load load;
 *     load_push(&load, scene, 5000);
 *     scene_run_as(&scene->corq, …);
 *     load_see_progress(&load, 1, 2);
 *     … trouble …
 *     load_judge(&load, (struct verdict){.row = VERDICT_CUT});
 */
#ifndef TESTS_SUPPORT_LOAD_H
#define TESTS_SUPPORT_LOAD_H

#include <stddef.h>

#include "tests/support/ledger.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

/* What each job takes, in seconds, and what its payload begins with. */
#define LOAD_PREFIX "0.02"
#define LOAD_QUEUE  "queue"

struct load {
    struct scene *scene;
    struct ledger ledger;
};

/** Pushes @njobs, at most 99,999, of which each takes 20 ms and a bit. */
void load_push(struct load *load, struct scene *scene, size_t njobs);

/** Waits until so much of the load, part / of, has been taken at least. */
void load_see_progress(struct load *load, size_t part, size_t of);

/** Enters what a program did that will not be there at the end, such as one
 * that was killed. */
void load_enter(struct load *load, struct program *program);

/**
 * Waits until all jobs are done, ends the programs of the scene that still run,
 * and gives the verdict; see verdict_of_ledger(). Frees what @load holds.
 */
void load_judge(struct load *load, struct verdict verdict);

#endif
