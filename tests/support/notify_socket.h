/*
 * The receiving side of NOTIFY_SOCKET, as a service manager has it.
 *
 *     struct notify_socket notify = {0};
 *     notify_socket_open(&notify);
 *     … start the program with notify.variable in its environment …
 *     assert_true(notify_socket_wait_for(&notify, "READY=1", PATIENCE_MS));
 *     notify_socket_close(&notify);
 */
#ifndef TESTS_SUPPORT_NOTIFY_SOCKET_H
#define TESTS_SUPPORT_NOTIFY_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed before first use. */
struct notify_socket {
    int fd;            /* 0: not open */
    char variable[80]; /* NOTIFY_SOCKET=name */
    char text[4096];   /* all that has come, each message with an end of line */
    size_t len;
};

/** Opens a socket with an abstract name that nobody else has. */
void notify_socket_open(struct notify_socket *notify);

/** True when the line @line has come. */
bool notify_socket_has(struct notify_socket *notify, const char *line);

/** Waits for the line @line; false after @timeout_ms. */
bool notify_socket_wait_for(struct notify_socket *notify, const char *line,
                            int64_t timeout_ms);

/** Closes it. A zeroed one is left alone. */
void notify_socket_close(struct notify_socket *notify);

#endif
