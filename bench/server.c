#include "bench/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/report.h"
#include "coro/base/clock.h"

#define START_MS   10000
#define FILL_CHUNK 100000
#define POLL_US    1000

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        give_up("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

static void exec_server(const struct server *server)
{
    char port[16], socket_path[256];
    snprintf(port, sizeof port, "%d", server->port);
    snprintf(socket_path, sizeof socket_path, "%s/socket", server->dir);
    static const char *const names[] = {"redis-server", "valkey-server"};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        execlp(names[i], names[i], "--port", port, "--bind", "127.0.0.1",
               "--unixsocket", socket_path, "--save", "", "--appendonly", "no",
               "--dir", server->dir, "--loglevel", "warning", (char *)NULL);
    fputs("bench: neither redis-server nor valkey-server is there\n", stderr);
    _exit(127);
}

redisContext *server_connect(const struct server *server)
{
    redisContext *context = redisConnect("127.0.0.1", server->port);
    if (context && context->err == 0)
        return context;
    redisFree(context);
    return NULL;
}

/* Connects as soon as the server listens. */
static void wait_for_server(struct server *server)
{
    int64_t deadline_ms = coro_after(START_MS);
    while (coro_now_ms() < deadline_ms) {
        server->admin = server_connect(server);
        if (server->admin)
            return;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            give_up("the private Redis did not start");
        usleep(POLL_US);
    }
    give_up("the private Redis does not answer");
}

void server_start(struct server *server)
{
    const char *parent = getenv("TMPDIR");
    snprintf(server->dir, sizeof server->dir, "%s/corq-bench-XXXXXX",
             parent && parent[0] ? parent : "/tmp");
    if (!mkdtemp(server->dir))
        give_up("can't make a directory like %s", server->dir);
    server->port = free_port();
    snprintf(server->url, sizeof server->url, "redis://127.0.0.1:%d",
             server->port);
    server->pid = fork();
    if (server->pid < 0)
        give_up("can't fork");
    if (server->pid == 0)
        exec_server(server);
    wait_for_server(server);
}

void server_stop(struct server *server)
{
    char path[256];
    redisFree(server->admin);
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    snprintf(path, sizeof path, "%s/socket", server->dir);
    unlink(path);
    rmdir(server->dir);
}

static redisReply *run(struct server *server, const char *format,
                       va_list arguments)
{
    redisReply *reply = redisvCommand(server->admin, format, arguments);
    if (!reply)
        give_up("the private Redis went away: %s", server->admin->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        give_up("'%s': %s", format, reply->str);
    return reply;
}

long long server_integer(struct server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(server, format, arguments);
    va_end(arguments);
    if (reply->type != REDIS_REPLY_INTEGER)
        give_up("'%s': not an integer", format);
    long long integer = reply->integer;
    freeReplyObject(reply);
    return integer;
}

void server_do(struct server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    freeReplyObject(run(server, format, arguments));
    va_end(arguments);
}

void server_fill(struct server *server, const char *key, size_t n)
{
    static const char script[] =
        "local batch = {}"
        "for i = 1, ARGV[1] do"
        "  batch[#batch + 1] = string.format('%0' .. ARGV[2] .. 'd', i)"
        "  if #batch == 1000 or i == tonumber(ARGV[1]) then"
        "    redis.call('LPUSH', KEYS[1], unpack(batch)) batch = {}"
        "  end "
        "end";
    while (n > 0) {
        size_t chunk = n < FILL_CHUNK ? n : FILL_CHUNK;
        server_do(server, "EVAL %s 1 %s %d %d", script, key, (int)chunk,
                  SERVER_PAYLOAD_BYTES);
        n -= chunk;
    }
}

/* The number behind @before, which begins a line of INFO; 0: no such line. */
static double info_number(struct server *server, const char *before)
{
    redisReply *reply = redisCommand(server->admin, "INFO everything");
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        give_up("INFO failed");
    const char *found = strstr(reply->str, before);
    double value = found ? strtod(found + strlen(before), NULL) : 0;
    freeReplyObject(reply);
    return value;
}

double server_info(struct server *server, const char *field)
{
    char before[64];
    snprintf(before, sizeof before, "\n%s:", field);
    return info_number(server, before);
}

double server_calls(struct server *server, const char *command)
{
    char before[64];
    snprintf(before, sizeof before, "\ncmdstat_%s:calls=", command);
    return info_number(server, before);
}

size_t server_count_commands(struct server *server, unsigned seconds)
{
    static const char end[] = "the end of counting";
    redisContext *monitor = server_connect(server);
    redisReply *reply = monitor ? redisCommand(monitor, "MONITOR") : NULL;
    if (!reply)
        give_up("can't watch the private Redis");
    freeReplyObject(reply);
    sleep(seconds);
    server_do(server, "ECHO %s", end);
    size_t n = 0;
    bool is_over = false;
    while (!is_over) {
        void *line;
        if (redisGetReply(monitor, &line) != REDIS_OK)
            give_up("can't watch the private Redis: %s", monitor->errstr);
        reply = line;
        is_over = strstr(reply->str, end);
        n += !is_over && !strstr(reply->str, " lua] ");
        freeReplyObject(reply);
    }
    redisFree(monitor);
    return n;
}

double server_cpu(struct server *server)
{
    return server_info(server, "used_cpu_user") +
           server_info(server, "used_cpu_sys");
}
