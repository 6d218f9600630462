#include "tests/support/wall_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PRELOADED "tests/preload/clock.so"

void wall_clock_open(struct wall_clock *clock)
{
    const char *build = getenv("BUILD");
    const char *asan = getenv("ASAN_OPTIONS");
    char *library;
    *clock = (struct wall_clock){.fd = memfd_create("clock", 0)};
    assert_true(clock->fd >= 0);
    assert_int_equal(ftruncate(clock->fd, sizeof *clock->offset_ns), 0);
    clock->offset_ns = mmap(NULL, sizeof *clock->offset_ns,
                            PROT_READ | PROT_WRITE, MAP_SHARED, clock->fd, 0);
    assert_true(clock->offset_ns != MAP_FAILED);
    assert_true(asprintf(&library, "%s/" PRELOADED,
                         build && build[0] ? build : "build") > 0);
    char *path = realpath(library, NULL);
    free(library);
    assert_non_null(path);
    snprintf(clock->words[0], sizeof clock->words[0], "LD_PRELOAD=%s", path);
    snprintf(clock->words[1], sizeof clock->words[1],
             "WALL_CLOCK_OFFSET=/proc/%d/fd/%d", (int)getpid(), clock->fd);
    /* AddressSanitizer wants to be the first library, and does without. */
    snprintf(clock->words[2], sizeof clock->words[2],
             "ASAN_OPTIONS=%s:verify_asan_link_order=0", asan ? asan : "");
    free(path);
    for (size_t i = 0; i < 3; i++)
        clock->environment[i] = clock->words[i];
}

void wall_clock_set(struct wall_clock *clock, int64_t seconds)
{
    atomic_store(clock->offset_ns, seconds * 1000000000);
}

static void set_environment(const struct wall_clock *clock, bool is_lent)
{
    for (size_t i = 0; i < 2; i++) {
        char name[40];
        const char *word = clock->words[i];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
        if (is_lent)
            setenv(name, strchr(word, '=') + 1, 1);
        else
            unsetenv(name);
    }
}

void wall_clock_lend(const struct wall_clock *clock)
{
    set_environment(clock, true);
}

void wall_clock_take_back(const struct wall_clock *clock)
{
    set_environment(clock, false);
}

void wall_clock_close(struct wall_clock *clock)
{
    munmap(clock->offset_ns, sizeof *clock->offset_ns);
    close(clock->fd);
}
