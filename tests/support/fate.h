/*
 * How a program ends that does what it must not: a function is run in a child
 * of its own, and the test looks at how that ended and what it said.
 *
 *     struct fate fate = fate_of(free_it_twice);
 *     assert_int_equal(fate.signal, SIGABRT);
 *     assert_non_null(strstr(fate.said, "was freed"));
 */
#ifndef TESTS_SUPPORT_FATE_H
#define TESTS_SUPPORT_FATE_H

#define FATE_SAID_BYTES 4096

struct fate {
    int signal;                 /* that ended it, or 0 */
    int status;                 /* its exit status otherwise */
    char said[FATE_SAID_BYTES]; /* the beginning of its standard error */
};

/**
 * Runs @function in a child process, which exits with status 0 if it returns.
 * Context: outside of coroutines, with no other thread; asserts.
 */
struct fate fate_of(void (*function)(void));

/** Asserts that @function ends the process by abort(), saying @why. */
void fate_assert_aborts(void (*function)(void), const char *why);

/**
 * Asserts that it was ended by @number. Under valgrind, which reports a bad
 * access itself, that may be an exit status of valgrind's own.
 */
void fate_assert_signal(const struct fate *fate, int number);

#endif
