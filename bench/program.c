#include "bench/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "coro/base/clock.h"
#include "tests/support/family.h"

#define PIPE_BYTES  (1 << 20)
#define PATIENCE_MS 60000
#define POLL_US     1000
/* After it first waits for jobs, its coroutines may still be being made. */
#define SETTLE_US_PER_COROUTINE 50
#define SETTLE_US               200000

static size_t processes_of(const struct program_options *options)
{
    size_t n = options->nprocesses ? options->nprocesses : 1;
    if (n > PROGRAM_PROCESSES_MOST)
        give_up("no more than %d processes", PROGRAM_PROCESSES_MOST);
    return n;
}

static void exec_program(const struct server *server,
                         const struct program_options *options)
{
    char path[300], nprocesses[24];
    const char *build = options->build ? options->build : getenv("BUILD");
    snprintf(path, sizeof path, "%s/corq", build ? build : "build");
    snprintf(nprocesses, sizeof nprocesses, "%zu", processes_of(options));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(path, path, "run", "--redis", server->url, "--handler",
          options->handler, "--concurrency", options->concurrency,
          "--log-level", options->log_level, "--delivery", options->delivery,
          "--processes", nprocesses, (char *)NULL);
    fprintf(stderr, "bench: can't run %s\n", path);
    _exit(127);
}

/* @nbefore  clients that were blocked before it was started. */
static void wait_until_it_waits(struct program *program, struct server *server,
                                double nbefore)
{
    int64_t deadline_ms = coro_after(PATIENCE_MS);
    double nwanted = nbefore + (double)program->nprocesses;
    while (server_info(server, "blocked_clients") < nwanted) {
        if (coro_now_ms() > deadline_ms ||
            waitpid(program->pid, NULL, WNOHANG) == program->pid)
            give_up(
                "corq run does not start: %.*s",
                (int)read(program->log_fd, program->line, sizeof program->line),
                program->line);
        usleep(POLL_US);
    }
}

void program_start(struct program *program, struct server *server,
                   const struct program_options *options)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        give_up("no pipe");
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
    double nbefore = server_info(server, "blocked_clients");
    program->line_len = 0;
    program->nprocesses = processes_of(options);
    program->log_fd = ends[0];
    program->pid = fork();
    if (program->pid < 0)
        give_up("can't fork");
    if (program->pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        exec_program(server, options);
    }
    close(ends[1]);
    wait_until_it_waits(program, server, nbefore);
    usleep(SETTLE_US + SETTLE_US_PER_COROUTINE *
                           (useconds_t)program->nprocesses *
                           (useconds_t)strtoul(options->concurrency, NULL, 10));
}

/* Takes whole lines off what was read. */
static void take_lines(struct program *program, program_line *on_line,
                       void *argument)
{
    char *start = program->line;
    char *end = program->line + program->line_len;
    char *newline;
    while ((newline = memchr(start, '\n', (size_t)(end - start)))) {
        on_line(argument, start, (size_t)(newline - start));
        start = newline + 1;
    }
    program->line_len = (size_t)(end - start);
    memmove(program->line, start, program->line_len);
}

bool program_read(struct program *program, int timeout_ms,
                  program_line *on_line, void *argument)
{
    struct pollfd wait = {.fd = program->log_fd, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) != 1)
        return false;
    ssize_t len = read(program->log_fd, program->line + program->line_len,
                       sizeof program->line - program->line_len);
    if (len <= 0)
        give_up("corq run ended early");
    program->line_len += (size_t)len;
    take_lines(program, on_line, argument);
    return true;
}

struct count {
    const char *text;
    size_t nfound;
};

static void count_line(void *argument, const char *line, size_t len)
{
    struct count *count = argument;
    count->nfound += memmem(line, len, count->text, strlen(count->text)) != 0;
}

int64_t program_wait_lines(struct program *program, const char *text, size_t n)
{
    struct count count = {text, 0};
    int64_t now_ns = coro_now_ns();
    while (count.nfound < n) {
        if (!program_read(program, PATIENCE_MS, count_line, &count))
            give_up("corq run logged only %zu of %zu '%s'", count.nfound, n,
                    text);
        now_ns = coro_now_ns();
    }
    return now_ns;
}

/* @ret_pids has room for all. Returns how many there are. */
static size_t find_family(const struct program *program, pid_t *ret_pids)
{
    ret_pids[0] = program->pid;
    size_t n = family_children(program->pid, ret_pids + 1, program->nprocesses);
    if (n != program->nprocesses)
        give_up("corq run has %zu children, expected %zu", n,
                program->nprocesses);
    return n + 1;
}

double program_cpu(const struct program *program)
{
    pid_t pids[PROGRAM_PROCESSES_MOST + 1];
    size_t n = find_family(program, pids);
    double seconds = 0;
    for (size_t i = 0; i < n; i++)
        seconds += measure_process_seconds(pids[i]);
    return seconds;
}

double program_bytes(const struct program *program, const char *field)
{
    pid_t pids[PROGRAM_PROCESSES_MOST + 1];
    size_t n = find_family(program, pids);
    double bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += measure_status_bytes(pids[i], field);
    return bytes;
}

void program_stop(struct program *program)
{
    kill(program->pid, SIGTERM);
    while (read(program->log_fd, program->line, sizeof program->line) > 0)
        ;
    int status;
    waitpid(program->pid, &status, 0);
    if (status != 0)
        give_up("corq run ended with status %d", status);
    close(program->log_fd);
}
