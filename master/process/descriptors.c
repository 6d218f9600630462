#include "master/process/descriptors.h"

#include <errno.h>
#include <sys/resource.h>

/* Standard streams, two loops and their wake-ups, signals, the link to the
 * supervisor, the connections for commands and for due jobs, those that a
 * look-up of a name takes, and one in reserve: settling goes on when something
 * else has used them up. Each queue has a connection to wait on. */
#define CHILD_FILES 28

/* Standard streams, one loop, signals, the shared memory, the program, and what
 * is open for a moment while a child is started. Each child has a link. */
#define SUPERVISOR_FILES 20

size_t descriptors_needed(size_t nchildren, size_t nqueues)
{
    size_t supervisor = SUPERVISOR_FILES + nchildren;
    size_t child = CHILD_FILES + nqueues;
    return supervisor > child ? supervisor : child;
}

int descriptors_provide(size_t needed, size_t *ret_limit)
{
    struct rlimit limit;
    *ret_limit = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0; /* whoever runs out of them will say so */
    if (limit.rlim_cur < needed && limit.rlim_max >= needed) {
        limit.rlim_cur = needed;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    *ret_limit = (size_t)limit.rlim_cur;
    return limit.rlim_cur < needed ? -EMFILE : 0;
}
