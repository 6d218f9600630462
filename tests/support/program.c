#include "tests/support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/wait.h"

#define MAX_WORDS 64
#define PATH_SIZE 256

extern char **environ;

/* --- the child ------------------------------------------------------------ */

static const char *build_dir(void)
{
    const char *build = getenv("BUILD");
    return build && build[0] ? build : "build";
}

/* The wrapper's words, the program's path and its arguments. */
static void fill_words(const struct program_options *options, char *path,
                       const char **words)
{
    size_t n = 0;
    const char *wrapper = getenv("WRAPPER");
    if (wrapper && !options->is_bare) {
        char *copy = strdup(wrapper); /* this process ends by exec */
        char *rest = copy;
        for (char *word; (word = strsep(&rest, " ")) && n < MAX_WORDS / 2;)
            if (word[0])
                words[n++] = word;
    }
    snprintf(path, PATH_SIZE, "%s/%s", build_dir(),
             options->name ? options->name : "corq");
    words[n++] = path;
    for (size_t i = 0; options->arguments[i] && n < MAX_WORDS; i++)
        words[n++] = options->arguments[i];
    words[n] = NULL;
}

static void remove_our_variables(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "JOURNAL_STREAM",
                                        "STATE_DIRECTORY", "XDG_STATE_HOME"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    for (char **variable = environ; *variable;) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*variable, "="),
                 *variable);
        if (strncmp(name, "CORQ_", 5) == 0 && unsetenv(name) == 0)
            variable = environ;
        else
            variable++;
    }
}

static void name_journal(void)
{
    struct stat status;
    char stream[64];
    fstat(STDERR_FILENO, &status);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
}

static void set_environment(const struct program_options *options)
{
    remove_our_variables();
    for (size_t i = 0; options->environment && options->environment[i]; i++) {
        const char *pair = options->environment[i];
        char *name = strndup(pair, strcspn(pair, "="));
        setenv(name, strchr(pair, '=') + 1, 1);
        free(name);
    }
    if (options->is_journaled)
        name_journal();
}

static bool enter_namespace(void)
{
    return unshare(CLONE_NEWPID) == 0 ||
           unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0;
}

static pid_t contained;

static void pass_on(int number)
{
    kill(contained, number);
}

/* Becomes process 1 of a pid namespace; who was here until now stays outside,
 * and ends as that does. */
static void contain(void)
{
    if (!enter_namespace())
        _exit(126);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return;
    }
    int status = 0;
    contained = pid;
    signal(SIGTERM, pass_on);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static _Noreturn void become_program(const struct program *program,
                                     const struct program_options *options,
                                     int input_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL); /* a shell may have us ignore it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setpgid(0, 0);
    dup2(input_fd, STDIN_FILENO);
    dup2(program->output.fd, STDOUT_FILENO);
    dup2(options->log_fd > 0 ? options->log_fd : program->log.fd,
         STDERR_FILENO);
    set_environment(options);
    if (options->files.rlim_max > 0)
        setrlimit(RLIMIT_NOFILE, &options->files);
    if (options->is_contained)
        contain();
    char path[PATH_SIZE];
    const char *words[MAX_WORDS + 1];
    fill_words(options, path, words);
    execvp(words[0], (char **)(uintptr_t)words);
    fprintf(stderr, "can't run %s: %s\n", words[0], strerror(errno));
    _exit(127);
}

/* --- starting ------------------------------------------------------------- */

static int open_input(const struct program_options *options)
{
    if (!options->input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t written = pwrite(fd, options->input, options->input_len, 0);
    assert_int_equal(written, options->input_len);
    return fd;
}

/* Several processes may write there, each behind what the others have written:
 * in a file of memory they would have to agree on the place otherwise. */
static int open_stream(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    return fd;
}

void program_start_with(struct program *program,
                        const struct program_options *options)
{
    program_release(program);
    program->is_started = true;
    program->output.fd = open_stream("output");
    program->log.fd = open_stream("log");
    assert_true(program->output.fd >= 0 && program->log.fd >= 0);
    int input_fd = open_input(options);
    pid_t parent = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become_program(program, options, input_fd, parent);
    close(input_fd);
    program->pid = pid;
    /* Both sides do it: whoever is first, the group exists from here on. */
    setpgid(pid, pid);
}

bool program_can_be_contained(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(enter_namespace() ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

void program_start(struct program *program, const char *const *arguments)
{
    program_start_with(program,
                       &(struct program_options){.arguments = arguments});
}

int program_run(struct program *program, const char *const *arguments)
{
    program_start(program, arguments);
    return program_wait_exit(program, PATIENCE_MS);
}

/* --- what it wrote -------------------------------------------------------- */

static const char *stream_read(struct program_stream *stream)
{
    struct stat status;
    assert_int_equal(fstat(stream->fd, &status), 0);
    size_t size = (size_t)status.st_size;
    if (stream->text && stream->len == size)
        return stream->text;
    char *text = realloc(stream->text, size + 1);
    assert_non_null(text);
    stream->text = text;
    while (stream->len < size) {
        ssize_t n = pread(stream->fd, text + stream->len, size - stream->len,
                          (off_t)stream->len);
        assert_true(n > 0);
        stream->len += (size_t)n;
    }
    text[stream->len] = '\0';
    return text;
}

const char *program_log(struct program *program)
{
    return stream_read(&program->log);
}

const char *program_output(struct program *program)
{
    return stream_read(&program->output);
}

size_t program_count_lines(struct program *program, const char *text)
{
    size_t n = 0;
    const char *at = program_log(program);
    while ((at = strstr(at, text))) {
        n++;
        at++;
        at += strcspn(at, "\n");
    }
    return n;
}

static void print_log(struct program *program, const char *missed)
{
    print_error("--- %s; its log:\n%s---\n", missed, program_log(program));
}

struct line_wait {
    struct program *program;
    const char *text;
    size_t nlines;
    size_t nfound; /* in what was seen */
    size_t nseen;  /* bytes of the log, always whole lines */
};

/* Looks at the lines that have come since. */
static void look_on(struct line_wait *wait)
{
    const char *log = program_log(wait->program);
    const char *end;
    while ((end = strchr(log + wait->nseen, '\n'))) {
        const char *line = log + wait->nseen;
        size_t len = (size_t)(end - line);
        wait->nfound += memmem(line, len, wait->text, strlen(wait->text)) != 0;
        wait->nseen += len + 1;
    }
}

/* The lines are there, or will never be. */
static bool is_line_wait_over(void *argument)
{
    struct line_wait *wait = argument;
    bool is_running = program_is_running(wait->program);
    look_on(wait);
    return wait->nfound >= wait->nlines || !is_running;
}

bool program_wait_for_lines(struct program *program, const char *text,
                            size_t nlines, int64_t timeout_ms)
{
    struct line_wait wait = {program, text, nlines, 0, 0};
    wait_until(is_line_wait_over, &wait, timeout_ms);
    if (wait.nfound >= nlines)
        return true;
    char missed[200];
    snprintf(missed, sizeof missed, "%zu of %zu lines with '%.80s'",
             wait.nfound, nlines, text);
    print_log(program, missed);
    return false;
}

bool program_wait_for_line(struct program *program, const char *text,
                           int64_t timeout_ms)
{
    return program_wait_for_lines(program, text, 1, timeout_ms);
}

/* --- its end -------------------------------------------------------------- */

void program_signal(struct program *program, int number)
{
    assert_true(program->pid > 0);
    assert_int_equal(kill(program->pid, number), 0);
}

static void signal_group(struct program *program, int number)
{
    assert_true(program->pid > 0);
    assert_int_equal(kill(-program->pid, number), 0);
}

void program_kill(struct program *program)
{
    pid_t group = program->pid;
    /* Its children become ours when it dies, so that we see them end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal_group(program, SIGKILL);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 1000 + SIGKILL);
    while (waitpid(-group, NULL, 0) > 0)
        ;
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

void program_freeze(struct program *program)
{
    signal_group(program, SIGSTOP);
}

void program_thaw(struct program *program)
{
    signal_group(program, SIGCONT);
}

bool program_is_running(struct program *program)
{
    if (program->pid == 0)
        return false;
    if (waitpid(program->pid, &program->status, WNOHANG) == 0)
        return true;
    program->has_ended = true;
    program->pid = 0;
    return false;
}

static bool has_ended(void *argument)
{
    return !program_is_running(argument);
}

int program_wait_exit(struct program *program, int64_t timeout_ms)
{
    assert_true(program->is_started);
    if (!wait_until(has_ended, program, timeout_ms)) {
        print_log(program, "it has not ended");
        return -1;
    }
    if (WIFSIGNALED(program->status)) {
        if (WTERMSIG(program->status) != SIGKILL)
            print_log(program, "a signal has ended it");
        return 1000 + WTERMSIG(program->status);
    }
    return WEXITSTATUS(program->status);
}

static void stream_release(struct program_stream *stream)
{
    if (stream->fd > 0)
        close(stream->fd);
    free(stream->text);
}

void program_release(struct program *program)
{
    if (program->pid > 0) {
        kill(-program->pid, SIGKILL);
        kill(program->pid, SIGKILL);
        waitpid(program->pid, NULL, 0);
    }
    if (program->is_started) {
        stream_release(&program->output);
        stream_release(&program->log);
    }
    *program = (struct program){0};
}
