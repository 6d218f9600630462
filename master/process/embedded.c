#include "master/process/embedded.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"

#define STOP_MS    5000
#define CHECK_NS   5000000
#define CONNECT_MS 1000

#define START_MS  10000
#define LOG_NAME  "redis.log"
#define LOCK_NAME "corq.lock"

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

/* Waits until @fd is ready for @events. */
static bool is_ready(int fd, short events)
{
    struct pollfd poller = {.fd = fd, .events = events};
    return poll(&poller, 1, CONNECT_MS) == 1;
}

static bool can_connect(int fd, const struct coro_redis_address *address)
{
    struct sockaddr_storage storage;
    socklen_t len = fill_address(address, &storage);
    if (connect(fd, (const struct sockaddr *)&storage, len) == 0)
        return true;
    int error = ETIMEDOUT;
    socklen_t error_len = sizeof error;
    if (errno != EINPROGRESS || !is_ready(fd, POLLOUT))
        return false;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
    return error == 0;
}

/* Whether what is connected to @fd answers as Redis does: also one that is
 * loading its data, or wants a password, answers with an error. */
static bool speaks_redis(int fd)
{
    char first = 0;
    return send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && is_ready(fd, POLLIN) &&
           read(fd, &first, 1) == 1 && (first == '+' || first == '-');
}

static enum embedded_found look(const struct coro_redis_address *address)
{
    int family = address->path                       ? AF_UNIX
                 : strcmp(address->host, "::1") == 0 ? AF_INET6
                                                     : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return EMBEDDED_FOUND_NOBODY;
    enum embedded_found found = EMBEDDED_FOUND_NOBODY;
    if (can_connect(fd, address))
        found =
            speaks_redis(fd) ? EMBEDDED_FOUND_REDIS : EMBEDDED_FOUND_STRANGER;
    close(fd);
    return found;
}

/* --- its directory -------------------------------------------------------- */

/* Where the user's state is kept; systemd may name several places. */
static int state_dir(char *dir, size_t size)
{
    const char *state = getenv("STATE_DIRECTORY");
    if (state && state[0] == '/')
        return snprintf(dir, size, "%.*s", (int)strcspn(state, ":"), state);
    state = getenv("XDG_STATE_HOME");
    if (state && state[0] == '/')
        return snprintf(dir, size, "%s/corq", state);
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return snprintf(dir, size, "%s/.local/state/corq", home);
    return -1;
}

/* One directory for each address: redis, redis-6380, redis-socket. */
static int default_dir(char *dir, size_t size,
                       const struct coro_redis_address *address)
{
    int len = state_dir(dir, size);
    if (len < 0 || (size_t)len >= size)
        return -1;
    char *rest = dir + len;
    size_t left = size - (size_t)len;
    if (address->path)
        len = snprintf(rest, left, "/redis-socket");
    else if (address->port == 6379)
        len = snprintf(rest, left, "/redis");
    else
        len = snprintf(rest, left, "/redis-%u", address->port);
    return (size_t)len < left ? 0 : -1;
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
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
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
        fcntl(embedded->lock_fd, F_SETFD, 0);
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

static int choose_dir(struct embedded *embedded,
                      const struct coro_redis_address *address, const char *dir,
                      char *why, size_t why_size)
{
    size_t size = sizeof embedded->dir;
    int status = 0;
    if (!dir)
        status = default_dir(embedded->dir, size, address);
    else if (snprintf(embedded->dir, size, "%s", dir) >= (int)size)
        status = -1;
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

/* Two servers on the same data would ruin it. The lock is the server's as much
 * as ours, so it is held until both have ended. */
static int lock_dir(struct embedded *embedded)
{
    char path[sizeof embedded->dir + sizeof "/" LOCK_NAME];
    snprintf(path, sizeof path, "%s/" LOCK_NAME, embedded->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    embedded->lock_fd = fd;
    return 0;
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

/* Until the server answers. It may have much to read first: then others wait
 * for it, as for any Redis. */
static int wait_until_up(struct embedded *embedded,
                         const struct coro_redis_address *address)
{
    int64_t deadline_ms = coro_after(START_MS);
    while (look(address) != EMBEDDED_FOUND_REDIS) {
        if (embedded_has_ended(embedded))
            return -ECHILD;
        if (coro_now_ms() > deadline_ms || is_asked_to_stop())
            break;
        pause_shortly();
    }
    return embedded_has_ended(embedded) ? -ECHILD : 0;
}

/* Somebody else holds the directory, and may just be starting a server there
 * at this very address: that one does as well. */
static int wait_for_other(struct embedded *embedded,
                          const struct coro_redis_address *address)
{
    int64_t deadline_ms = coro_after(START_MS);
    while ((embedded->found = look(address)) == EMBEDDED_FOUND_NOBODY) {
        if (coro_now_ms() > deadline_ms || is_asked_to_stop())
            return -EWOULDBLOCK;
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
    else if (status == -EWOULDBLOCK)
        snprintf(why, why_size,
                 "another private Redis uses %s, at another address",
                 embedded->dir);
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
    *embedded = (struct embedded){.pid = 0, .lock_fd = -1};
    if (address->host && !is_loopback(address->host)) {
        snprintf(why, why_size,
                 "--embedded-redis needs a loopback address or a unix socket, "
                 "found host '%.100s'",
                 address->host);
        return -EINVAL;
    }
    if (address->sentinels) {
        snprintf(why, why_size,
                 "--embedded-redis needs a loopback address or a unix socket, "
                 "found sentinels");
        return -EINVAL;
    }
    embedded->found = look(address);
    if (embedded->found != EMBEDDED_FOUND_NOBODY)
        return 0;
    int status = choose_dir(embedded, address, dir, why, why_size);
    if (status < 0)
        return status;
    status = lock_dir(embedded);
    if (status == -EWOULDBLOCK)
        status = wait_for_other(embedded, address);
    else if (status == 0)
        status = spawn(embedded, address);
    if (status == 0 && embedded->pid > 0)
        status = wait_until_up(embedded, address);
    if (status < 0)
        explain(embedded, status, why, why_size);
    return status;
}

bool embedded_has_ended(struct embedded *embedded)
{
    if (embedded->pid > 0 && waitpid(embedded->pid, NULL, WNOHANG) == 0)
        return false;
    embedded->pid = 0;
    return true;
}

bool embedded_note_end(struct embedded *embedded, pid_t pid)
{
    if (embedded->pid != pid)
        return false;
    embedded->pid = 0;
    return true;
}

void embedded_stop(struct embedded *embedded)
{
    if (embedded->pid > 0) {
        kill(embedded->pid, SIGTERM);
        int64_t deadline_ms = coro_after(STOP_MS);
        while (!embedded_has_ended(embedded)) {
            if (coro_now_ms() > deadline_ms)
                kill(embedded->pid, SIGKILL);
            pause_shortly();
        }
    }
    if (embedded->lock_fd >= 0)
        close(embedded->lock_fd);
    embedded->lock_fd = -1;
}
