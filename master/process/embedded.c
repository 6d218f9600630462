#include "master/process/embedded.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"

#define STOP_MS    10000
#define CHECK_NS   5000000
#define CONNECT_MS 1000

#define START_MS 10000
#define LOG_NAME "redis.log"

/* Less than a pipe holds. */
#define CONFIG_MAX_BYTES 16384

/* --- is there one already? ------------------------------------------------ */

static bool is_loopback(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static socklen_t fill_address(const struct coro_redis_address *address,
                              struct sockaddr_storage *storage)
{
    memset(storage, 0, sizeof *storage);
    if (address->path) {
        struct sockaddr_un *un = (void *)storage;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, address->path, strlen(address->path) + 1);
        return sizeof *un;
    }
    if (strcmp(address->host, "::1") == 0) {
        struct sockaddr_in6 *in6 = (void *)storage;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        in6->sin6_addr = in6addr_loopback;
        return sizeof *in6;
    }
    struct sockaddr_in *in = (void *)storage;
    in->sin_family = AF_INET;
    in->sin_port = htons(address->port);
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *in;
}

/* Whether anything accepts a connection at @address. */
static bool somebody_listens(const struct coro_redis_address *address)
{
    struct sockaddr_storage storage;
    socklen_t len = fill_address(address, &storage);
    int fd = socket(storage.ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int status = connect(fd, (const struct sockaddr *)&storage, len);
    if (status < 0 && errno == EINPROGRESS) {
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        int error = ETIMEDOUT;
        socklen_t error_len = sizeof error;
        if (poll(&poller, 1, CONNECT_MS) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
        status = error ? -1 : 0;
    }
    close(fd);
    return status == 0;
}

/* --- its directory -------------------------------------------------------- */

static int default_dir(char *dir, size_t size)
{
    const char *state = getenv("STATE_DIRECTORY"); /* systemd's */
    if (state && state[0] == '/')
        return snprintf(dir, size, "%s/redis", state) < (int)size ? 0 : -1;
    state = getenv("XDG_STATE_HOME");
    if (state && state[0] == '/')
        return snprintf(dir, size, "%s/corq/redis", state) < (int)size ? 0 : -1;
    const char *home = getenv("HOME");
    if (!home || home[0] != '/')
        return -1;
    return snprintf(dir, size, "%s/.local/state/corq/redis", home) < (int)size
               ? 0
               : -1;
}

static int make_dirs(char *dir)
{
    for (char *slash = strchr(dir + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int status = mkdir(dir, 0700);
        *slash = '/';
        if (status < 0 && errno != EEXIST)
            return -errno;
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    return 0;
}

/* --- starting ------------------------------------------------------------- */

/* A value of redis.conf, whatever bytes it has. */
static void append_quoted(struct coro_buf *config, const char *value)
{
    coro_buf_append_char(config, '"');
    for (const char *c = value; *c; c++) {
        coro_buf_append_string(config, "\\x");
        coro_buf_append_hex(config, c, 1);
    }
    coro_buf_append_string(config, "\"\n");
}

static void write_config(struct coro_buf *config,
                         const struct coro_redis_address *address,
                         const char *dir)
{
    bool is_v6 = address->host && strcmp(address->host, "::1") == 0;
    coro_buf_printf(config, "bind %s\nport %u\n", is_v6 ? "::1" : "127.0.0.1",
                    address->path ? 0U : address->port);
    coro_buf_append_string(config, "daemonize no\nappendonly yes\nsave \"\"\n"
                                   "logfile " LOG_NAME "\ndir ");
    append_quoted(config, dir);
    if (address->path) {
        coro_buf_append_string(config, "unixsocketperm 700\nunixsocket ");
        append_quoted(config, address->path);
    }
    if (address->password) {
        coro_buf_append_string(config, "requirepass ");
        append_quoted(config, address->password);
    }
}

/* In the child. Returns only when there is no server to become. */
static void become_server(int config_fd, int log_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    dup2(config_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1); /* it died before we could ask to be told */
    execlp("redis-server", "redis-server", "-", (char *)NULL);
    execlp("valkey-server", "valkey-server", "-", (char *)NULL);
}

/* Forks a child that becomes a server. The child tells by @report that it could
 * not; when it could, that pipe closes by itself. */
static int fork_server(struct embedded *embedded, int config_fd,
                       const int report[2])
{
    char path[sizeof embedded->dir + sizeof "/" LOG_NAME];
    snprintf(path, sizeof path, "%s/" LOG_NAME, embedded->dir);
    pid_t parent = getpid();
    int log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return -errno;
    pid_t pid = fork();
    int error = errno;
    if (pid != 0)
        close(log_fd);
    if (pid < 0)
        return -error;
    if (pid == 0) {
        become_server(config_fd, log_fd, parent);
        error = errno;
        ssize_t written = write(report[1], &error, sizeof error);
        (void)written;
        _exit(127);
    }
    embedded->pid = pid;
    return 0;
}

static int read_report(struct embedded *embedded, int report_fd)
{
    int error;
    if (read(report_fd, &error, sizeof error) != sizeof error)
        return 0;
    waitpid(embedded->pid, NULL, 0);
    embedded->pid = 0;
    return -error;
}

/* A pipe that is full of @config and at its end: the server reads its
 * configuration from there, so that a password is in no list of processes. */
static int open_config(const struct coro_buf *config)
{
    int fds[2];
    if (config->failed)
        return -ENOMEM;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    ssize_t written = write(fds[1], config->data, config->len);
    close(fds[1]);
    if (written == (ssize_t)config->len)
        return fds[0];
    close(fds[0]);
    return -EIO;
}

static int spawn(struct embedded *embedded,
                 const struct coro_redis_address *address)
{
    struct coro_buf config;
    coro_buf_init(&config, CONFIG_MAX_BYTES);
    write_config(&config, address, embedded->dir);
    int config_fd = open_config(&config);
    if (config.data)
        explicit_bzero(config.data, config.len);
    coro_buf_release(&config);
    if (config_fd < 0)
        return config_fd;
    int report[2];
    int status = pipe2(report, O_CLOEXEC) < 0 ? -errno : 0;
    if (status == 0) {
        status = fork_server(embedded, config_fd, report);
        close(report[1]);
        if (status == 0)
            status = read_report(embedded, report[0]);
        close(report[0]);
    }
    close(config_fd);
    return status;
}

static int choose_dir(struct embedded *embedded, const char *dir, char *why,
                      size_t why_size)
{
    size_t size = sizeof embedded->dir;
    int status =
        dir ? (snprintf(embedded->dir, size, "%s", dir) < (int)size ? 0 : -1)
            : default_dir(embedded->dir, size);
    if (status < 0) {
        snprintf(why, why_size,
                 "no directory for the data: give one, --embedded-redis=DIR");
        return -EINVAL;
    }
    status = make_dirs(embedded->dir);
    if (status < 0)
        snprintf(why, why_size, "can't make the directory %s: %s",
                 embedded->dir, strerror(-status));
    return status;
}

static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = CHECK_NS};
    nanosleep(&pause, NULL);
}

static bool is_asked_to_stop(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT);
}

/* Until the server listens. It may have much to read first: then others wait
 * for it, as for any Redis. */
static int wait_until_up(struct embedded *embedded,
                         const struct coro_redis_address *address)
{
    int64_t deadline_ms = coro_after(START_MS);
    while (!somebody_listens(address)) {
        if (waitpid(embedded->pid, NULL, WNOHANG) != 0) {
            embedded->pid = 0;
            return -ECHILD;
        }
        if (coro_now_ms() > deadline_ms || is_asked_to_stop())
            break;
        pause_shortly();
    }
    return 0;
}

static void explain(const struct embedded *embedded, int status, char *why,
                    size_t why_size)
{
    if (status == -ECHILD)
        snprintf(why, why_size, "the private Redis ended at once; see %s/%s",
                 embedded->dir, LOG_NAME);
    else
        snprintf(why, why_size, "can't start redis-server: %s",
                 status == -ENOENT
                     ? "neither redis-server nor valkey-server is installed"
                     : strerror(-status));
}

int embedded_start(struct embedded *embedded,
                   const struct coro_redis_address *address, const char *dir,
                   char *why, size_t why_size)
{
    *embedded = (struct embedded){.pid = 0};
    if (address->host && !is_loopback(address->host)) {
        snprintf(why, why_size,
                 "--embedded-redis needs a loopback address or a unix socket, "
                 "found host '%.100s'",
                 address->host);
        return -EINVAL;
    }
    if (somebody_listens(address))
        return 0;
    int status = choose_dir(embedded, dir, why, why_size);
    if (status < 0)
        return status;
    status = spawn(embedded, address);
    if (status == 0)
        status = wait_until_up(embedded, address);
    if (status < 0)
        explain(embedded, status, why, why_size);
    return status;
}

void embedded_stop(struct embedded *embedded)
{
    if (embedded->pid <= 0)
        return;
    kill(embedded->pid, SIGTERM);
    int64_t deadline_ms = coro_after(STOP_MS);
    while (waitpid(embedded->pid, NULL, WNOHANG) == 0) {
        if (coro_now_ms() > deadline_ms)
            kill(embedded->pid, SIGKILL);
        pause_shortly();
    }
    embedded->pid = 0;
}
