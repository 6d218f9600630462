/*
 * A real Redis (or Valkey) for one test, in a directory of its own.
 *
 *     struct redis_server redis = {0};
 *     redis_server_start(&redis, NULL);
 *     assert_int_equal(redis_integer(&redis, "LPUSH queue %s", "2"), 1);
 *     …
 *     redis_server_release(&redis);
 *
 * It listens on a loopback port that the kernel has chosen and on a unix
 * socket, and keeps an append-only file. It can't outlive the thread that has
 * started it. Whatever goes wrong here fails the test that is running.
 */
#ifndef TESTS_SUPPORT_REDIS_SERVER_H
#define TESTS_SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <hiredis/hiredis.h>

/* Zeroed before first use. */
struct redis_server {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char dir[32];
    char socket_path[48];
    char url[48];         /* redis://127.0.0.1:PORT */
    const char *password; /* what the commands below log in with, or NULL */
    bool is_sentinel;     /* run it as a sentinel; see sentinel_set.h */
    redisContext *context;
    char *config;
};

/**
 * Makes the directory, starts the server and waits until it answers.
 *
 * @config_lines  more lines of redis.conf, each with its end of line; or NULL.
 */
void redis_server_start(struct redis_server *server, const char *config_lines);

/**
 * Like redis_server_start(), but only chooses directory and port: nothing
 * listens there until redis_server_again().
 */
void redis_server_prepare(struct redis_server *server,
                          const char *config_lines);

/** Starts a stopped or killed server with the same port and data. */
void redis_server_again(struct redis_server *server);

/** Asks the server to end by SIGTERM and waits for it. */
void redis_server_stop(struct redis_server *server);

/** Ends the server by SIGKILL. */
void redis_server_kill(struct redis_server *server);

/** Freezes the server: it answers nothing, its connections stay. */
void redis_server_pause(struct redis_server *server);

/** Lets a frozen server go on. */
void redis_server_resume(struct redis_server *server);

/** Ends the server and removes its directory. A zeroed one is left alone. */
void redis_server_release(struct redis_server *server);

/** Its address: redis://127.0.0.1:PORT. Borrowed from @server. */
const char *redis_url(const struct redis_server *server);

/**
 * Runs a command; @format is that of hiredis: %s a string, %b bytes with a
 * size_t. An error reply is returned like any other; no reply fails the test.
 *
 * Ownership: freeReplyObject().
 */
redisReply *redis_reply(struct redis_server *server, const char *format, ...);

/** Runs a command that must give an integer. */
long long redis_integer(struct redis_server *server, const char *format, ...);

/**
 * Runs a command that must give a string or a status; NULL for nil.
 * Ownership: free().
 */
char *redis_text(struct redis_server *server, const char *format, ...);

/** Runs a command that must not fail, whatever it gives. */
void redis_do(struct redis_server *server, const char *format, ...);

#endif
