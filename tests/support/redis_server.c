#include "tests/support/redis_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/wait.h"

/* How often another port is tried when somebody was faster. */
#define TRIES 20

/* --- the process ---------------------------------------------------------- */

static uint16_t free_port(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void choose_port(struct redis_server *server)
{
    server->port = free_port();
    snprintf(server->url, sizeof server->url, "redis://127.0.0.1:%u",
             (unsigned)server->port);
}

static int write_config(const struct redis_server *server)
{
    char path[64];
    snprintf(path, sizeof path, "%s/redis.conf", server->dir);
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    fprintf(file,
            "bind 127.0.0.1\nport %u\nunixsocket %s\ndir %s\n"
            "daemonize no\nappendonly yes\nappendfsync no\nsave \"\"\n"
            "logfile %s/log\n%s",
            (unsigned)server->port, server->socket_path, server->dir,
            server->dir, server->config);
    return fclose(file) == 0 ? 0 : -errno;
}

/* In the child: becomes the server, or ends. */
static _Noreturn void become_server(const struct redis_server *server,
                                    pid_t parent)
{
    char path[64];
    snprintf(path, sizeof path, "%s/redis.conf", server->dir);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setpgid(0, 0);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    const char *mode = server->is_sentinel ? "--sentinel" : NULL;
    execlp("redis-server", "redis-server", path, mode, (char *)NULL);
    execlp("valkey-server", "valkey-server", path, mode, (char *)NULL);
    _exit(127);
}

static void spawn(struct redis_server *server)
{
    assert_int_equal(write_config(server), 0);
    pid_t parent = getpid();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        become_server(server, parent);
}

static void disconnect(struct redis_server *server)
{
    if (server->context)
        redisFree(server->context);
    server->context = NULL;
}

static bool log_in(struct redis_server *server)
{
    if (!server->password)
        return true;
    redisReply *reply =
        redisCommand(server->context, "AUTH %s", server->password);
    bool is_in = reply && reply->type != REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    return is_in;
}

static bool connect_once(struct redis_server *server)
{
    if (server->context)
        return true;
    server->context = redisConnectUnix(server->socket_path);
    if (server->context && !server->context->err) {
        const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
        redisSetTimeout(server->context, patience);
        if (log_in(server))
            return true;
    }
    disconnect(server);
    return false;
}

/* Answering, or ended already. */
static bool has_come_up(void *argument)
{
    struct redis_server *server = argument;
    if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
        server->pid = 0;
        return true;
    }
    if (!connect_once(server))
        return false;
    redisReply *reply = redisCommand(server->context, "PING");
    if (!reply) {
        disconnect(server);
        return false;
    }
    /* Without its password it is up all the same. */
    bool is_up = reply->type != REDIS_REPLY_ERROR ||
                 strncmp(reply->str, "NOAUTH", 6) == 0;
    freeReplyObject(reply);
    return is_up;
}

static void reap(struct redis_server *server)
{
    if (server->pid > 0)
        waitpid(server->pid, NULL, 0);
    server->pid = 0;
    disconnect(server);
}

void redis_server_prepare(struct redis_server *server, const char *config_lines)
{
    /* A command to a server that has ended is an error, not our end. */
    signal(SIGPIPE, SIG_IGN);
    *server = (struct redis_server){.password = server->password,
                                    .is_sentinel = server->is_sentinel};
    snprintf(server->dir, sizeof server->dir, "/tmp/corq-redis-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    snprintf(server->socket_path, sizeof server->socket_path, "%s/socket",
             server->dir);
    server->config = strdup(config_lines ? config_lines : "");
    assert_non_null(server->config);
    choose_port(server);
}

void redis_server_start(struct redis_server *server, const char *config_lines)
{
    redis_server_prepare(server, config_lines);
    for (int i = 0; i < TRIES && server->pid == 0; i++) {
        choose_port(server);
        spawn(server);
        assert_true(wait_until(has_come_up, server, PATIENCE_MS));
    }
    assert_true(server->pid > 0 && "redis-server starts");
}

void redis_server_again(struct redis_server *server)
{
    for (int i = 0; i < TRIES && server->pid == 0; i++) {
        spawn(server);
        assert_true(wait_until(has_come_up, server, PATIENCE_MS));
    }
    assert_true(server->pid > 0 && "redis-server starts again");
}

void redis_server_stop(struct redis_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        kill(server->pid, SIGCONT);
    }
    reap(server);
}

void redis_server_kill(struct redis_server *server)
{
    if (server->pid > 0)
        kill(server->pid, SIGKILL);
    reap(server);
}

void redis_server_pause(struct redis_server *server)
{
    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    int status;
    assert_int_equal(waitpid(server->pid, &status, WUNTRACED), server->pid);
    assert_true(WIFSTOPPED(status));
}

void redis_server_resume(struct redis_server *server)
{
    assert_int_equal(kill(server->pid, SIGCONT), 0);
}

static int remove_entry(const char *path, const struct stat *status, int type,
                        struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void redis_server_release(struct redis_server *server)
{
    redis_server_kill(server);
    if (server->dir[0])
        nftw(server->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(server->config);
    *server = (struct redis_server){0};
}

const char *redis_url(const struct redis_server *server)
{
    return server->url;
}

/* --- commands ------------------------------------------------------------- */

static redisReply *run(struct redis_server *server, const char *format,
                       va_list arguments)
{
    /* An old connection may be to a server that has ended since. */
    for (int i = 0; i < 2; i++) {
        va_list again;
        va_copy(again, arguments);
        redisReply *reply = connect_once(server)
                                ? redisvCommand(server->context, format, again)
                                : NULL;
        va_end(again);
        if (reply)
            return reply;
        disconnect(server);
    }
    fail_msg("no reply to '%s'", format);
    return NULL;
}

redisReply *redis_reply(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(server, format, arguments);
    va_end(arguments);
    return reply;
}

static void refuse(const redisReply *reply, const char *format)
{
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("'%s' gave the error '%s'", format, reply->str);
    else
        fail_msg("'%s' gave a reply of type %d", format, reply->type);
}

long long redis_integer(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(server, format, arguments);
    va_end(arguments);
    if (reply->type != REDIS_REPLY_INTEGER)
        refuse(reply, format);
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

char *redis_text(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(server, format, arguments);
    va_end(arguments);
    if (reply->type != REDIS_REPLY_STRING &&
        reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_NIL)
        refuse(reply, format);
    char *text =
        reply->type == REDIS_REPLY_NIL ? NULL : strndup(reply->str, reply->len);
    freeReplyObject(reply);
    return text;
}

void redis_do(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(server, format, arguments);
    va_end(arguments);
    if (reply->type == REDIS_REPLY_ERROR)
        refuse(reply, format);
    freeReplyObject(reply);
}
