#include "tests/support/record.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int nfailures;
static char first[300];

bool record_expectation(bool is_met, const char *condition, const char *file,
                        int line)
{
    if (is_met)
        return true;
    pthread_mutex_lock(&mutex);
    if (nfailures++ == 0)
        snprintf(first, sizeof first, "%s:%d: expected %s", file, line,
                 condition);
    pthread_mutex_unlock(&mutex);
    return false;
}

void record_assert(const char *file, int line)
{
    pthread_mutex_lock(&mutex);
    int found = nfailures;
    nfailures = 0;
    pthread_mutex_unlock(&mutex);
    if (found == 0)
        return;
    print_error("%s (the first of %d)\n", first, found);
    _assert_true(0, "as expected", file, line);
}
