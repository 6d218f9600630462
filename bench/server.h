/*
 * A private redis-server (or valkey-server) for benchmarks, and what is asked
 * of it. It keeps nothing, listens on a free port of the loopback and on a unix
 * socket in a directory of its own, and is killed if we are.
 *
 *     struct server server;
 *     server_start(&server);
 *     server_fill(&server, "queue", 1000000);
 *     …
 *     server_stop(&server);
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stddef.h>
#include <sys/types.h>

#include <hiredis/hiredis.h>

/* The payload that server_fill() pushes, in bytes. */
#define SERVER_PAYLOAD_BYTES 60

struct server {
    pid_t pid;
    int port;
    char dir[200];
    char url[64];        /* redis://127.0.0.1:port, for corq */
    redisContext *admin; /* what the functions here use */
};

/** Starts a server and waits until it answers; gives up if it does not. */
void server_start(struct server *server);

/** Ends the server and removes its directory. */
void server_stop(struct server *server);

/** A new blocking connection over TCP loopback. redisFree(). */
redisContext *server_connect(const struct server *server);

/** Runs a command for its integer result; gives up on any other. */
long long server_integer(struct server *server, const char *format, ...);

/** Runs a command and throws its result away; gives up on an error. */
void server_do(struct server *server, const char *format, ...);

/** Fills the list @key with @n payloads, made inside the server. */
void server_fill(struct server *server, const char *key, size_t n);

/** A figure of INFO: "used_cpu_user", "blocked_clients". */
double server_info(struct server *server, const char *field);

/**
 * How many commands clients send in the next @seconds; what scripts run on
 * their behalf, and what we send ourselves, does not count.
 */
size_t server_count_commands(struct server *server, unsigned seconds);

/** How often @command was carried out since the start, also by scripts. */
double server_calls(struct server *server, const char *command);

/** CPU seconds that the server has used. */
double server_cpu(struct server *server);

#endif
