#include "coro/io/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "coro/io/fd.h"

/* Shared by the coroutine and the thread; the last one out frees it. */
struct lookup {
    atomic_int nusers;
    int done_fd; /* the thread's end of a pipe: closed when it is done */
    struct coro_addresses addresses;
    atomic_int status; /* set last, read first: all else is there then */
    char host[];
};

static void lookup_unref(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->nusers, 1) == 1)
        free(lookup);
}

static int status_of(int gai_error)
{
    switch (gai_error) {
    case 0:
        return 0;
    case EAI_AGAIN:
    case EAI_SYSTEM:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    default:
        return -ENOENT;
    }
}

static void keep_addresses(struct lookup *lookup, const struct addrinfo *info)
{
    struct coro_addresses *addresses = &lookup->addresses;
    for (; info && addresses->naddresses < CORO_ADDRESSES_MAX;
         info = info->ai_next) {
        char *text = addresses->texts[addresses->naddresses];
        if (getnameinfo(info->ai_addr, info->ai_addrlen, text, CORO_ADDRESS_MAX,
                        NULL, 0, NI_NUMERICHOST) == 0)
            addresses->naddresses++;
    }
}

static void *look_up(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *info = NULL;
    int status = status_of(getaddrinfo(lookup->host, NULL, &hints, &info));
    if (status == 0) {
        keep_addresses(lookup, info);
        freeaddrinfo(info);
        if (lookup->addresses.naddresses == 0)
            status = -ENOENT;
    }
    atomic_store(&lookup->status, status);
    close(lookup->done_fd);
    lookup_unref(lookup);
    return NULL;
}

static int start_thread(struct lookup *lookup)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, look_up, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return -error;
    pthread_detach(thread);
    return 0;
}

/* Each side closes its own end of the pipe, so that no descriptor is closed
 * that the other side still uses. */
static int lookup_new(const char *host, struct lookup **ret_lookup, int *ret_fd)
{
    size_t size = strlen(host) + 1;
    struct lookup *lookup = calloc(1, sizeof *lookup + size);
    if (!lookup)
        return -ENOMEM;
    memcpy(lookup->host, host, size);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        int error = errno;
        free(lookup);
        return -error;
    }
    *ret_fd = fds[0];
    lookup->done_fd = fds[1];
    atomic_init(&lookup->nusers, 2);
    *ret_lookup = lookup;
    return 0;
}

static int ask(const char *host, int64_t deadline_ms,
               struct coro_addresses *ret_addresses)
{
    struct lookup *lookup = NULL;
    int fd = -1;
    int status = lookup_new(host, &lookup, &fd);
    if (status < 0)
        return status;
    status = start_thread(lookup);
    if (status < 0) {
        close(lookup->done_fd);
        lookup_unref(lookup);
    } else {
        status = coro_fd_wait(fd, false, deadline_ms);
    }
    close(fd);
    if (status == 0)
        status = atomic_load(&lookup->status);
    if (status == 0)
        *ret_addresses = lookup->addresses;
    lookup_unref(lookup);
    return status;
}

static bool is_numeric(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 ||
           inet_pton(AF_INET6, host, bytes) == 1;
}

static void set_address(struct coro_addresses *addresses, const char *text)
{
    char *place = addresses->texts[addresses->naddresses++];
    memcpy(place, text, strlen(text) + 1);
}

int coro_resolve(const char *host, int64_t deadline_ms,
                 struct coro_addresses *ret_addresses)
{
    bool is_localhost = strcasecmp(host, "localhost") == 0;
    if (!is_localhost && !is_numeric(host))
        return ask(host, deadline_ms, ret_addresses);
    ret_addresses->naddresses = 0;
    set_address(ret_addresses, is_localhost ? "127.0.0.1" : host);
    if (is_localhost)
        set_address(ret_addresses, "::1");
    return 0;
}
