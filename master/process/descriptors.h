/*
 * File descriptors: as many as are needed, before anything is started that
 * needs them.
 */
#ifndef MASTER_PROCESS_DESCRIPTORS_H
#define MASTER_PROCESS_DESCRIPTORS_H

#include <stddef.h>

/** How many the supervisor of @nchildren has open at most, or one of them that
 * takes jobs from @nqueues, whichever are more. */
size_t descriptors_needed(size_t nchildren, size_t nqueues);

/**
 * Sees to it that this process and those that it starts may have @needed open:
 * raises the soft limit, up to the hard one, where it is lower.
 *
 * Returns 0, or -EMFILE with the limit that there is in @ret_limit.
 */
int descriptors_provide(size_t needed, size_t *ret_limit);

#endif
