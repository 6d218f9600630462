#include "master/process/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "coro/io/fd.h"

static void fill(sigset_t *set)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGTSTP, SIGUSR2,
                                  SIGTTIN, SIGHUP, SIGCHLD};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(set, numbers[i]);
}

void signals_block(void)
{
    sigset_t set;
    fill(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    /* A signal that the parent made us ignore would never be seen; an alarm
     * ends what is stuck. */
    static const int numbers[] = {SIGTERM, SIGINT,  SIGTSTP,
                                  SIGTTIN, SIGCHLD, SIGALRM};
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
    /* A broken pipe and a full file are errors of the write, and a signal that
     * means nothing to us is no reason to die. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    /* A child of the supervisor is in the background of a terminal, and writes
     * its log there all the same. */
    signal(SIGTTOU, SIG_IGN);
}

static int read_signals(void *argument)
{
    struct signals *signals = argument;
    for (;;) {
        int status = coro_fd_wait(signals->fd, false, CORO_NEVER);
        if (status < 0)
            return status;
        struct signalfd_siginfo info;
        while (read(signals->fd, &info, sizeof info) == sizeof info)
            signals->on_signal(signals->argument, (int)info.ssi_signo);
    }
}

int signals_start(struct signals *signals, struct coro_group *group,
                  void (*on_signal)(void *argument, int number), void *argument)
{
    sigset_t set;
    fill(&set);
    signals->on_signal = on_signal;
    signals->argument = argument;
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        return -errno;
    int status = coro_group_spawn(
        group, read_signals, signals,
        &(struct coro_spawn_options){.name = "signals", .large_stack = true});
    if (status < 0)
        signals_stop(signals);
    return status;
}

void signals_stop(struct signals *signals)
{
    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
}
