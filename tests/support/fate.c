#include "tests/support/fate.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/scale.h"

/* Whoever reports them in his own words, a checker or the test's framework,
 * would end the process in his own way. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

static void live(void (*function)(void), int out)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        signal(faults[i], SIG_DFL);
    dup2(out, STDERR_FILENO);
    function();
    _exit(0);
}

struct fate fate_of(void (*function)(void))
{
    struct fate fate = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        live(function, ends[1]);
    close(ends[1]);
    size_t nread = 0;
    ssize_t n;
    while ((n = read(ends[0], fate.said + nread,
                     sizeof fate.said - 1 - nread)) > 0)
        nread += (size_t)n;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    fate.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    fate.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return fate;
}

void fate_assert_aborts(void (*function)(void), const char *why)
{
    struct fate fate = fate_of(function);
    if (!strstr(fate.said, why))
        fail_msg("it said \"%s\", without \"%s\"", fate.said, why);
    assert_int_equal(fate.signal, SIGABRT);
}

void fate_assert_signal(const struct fate *fate, int number)
{
    if (test_is_under_valgrind() && fate->signal == 0)
        assert_int_not_equal(fate->status, 0);
    else
        assert_int_equal(fate->signal, number);
}
