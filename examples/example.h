/*
 * What the examples share: the unit of time, and text as a task's result.
 */
#ifndef EXAMPLES_EXAMPLE_H
#define EXAMPLES_EXAMPLE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/coro.h"

/* Milliseconds in a unit: the first argument, in seconds, or one second. Whole
 * lines are printed at once, also into a file, as a reader would like it. */
static inline int64_t example_unit_ms(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0;
    return seconds > 0 ? (int64_t)(seconds * 1000) : 1000;
}

/* Returns "Done after Ns" from a task: what is left to do in it is to return
 * what this returns. */
static inline int example_return_done(int nunits)
{
    char *text;
    if (asprintf(&text, "Done after %ds", nunits) < 0)
        return -ENOMEM;
    return coro_task_return(text, free);
}

#endif
