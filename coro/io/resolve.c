#include "coro/io/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coro/sched/inbox.h"
#include "coro/sched/schedule.h"

/* The thread's until it is posted back, then the loop's. */
struct lookup {
    struct coro_post post;
    struct coro_loop *loop; /* with a reference, which is the thread's */
    struct coro_addresses addresses;
    int status;
    struct coro_future done; /* the loop's alone */
    bool is_abandoned;       /* the loop's alone */
    char host[];
};

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
    lookup->status = status_of(getaddrinfo(lookup->host, NULL, &hints, &info));
    if (lookup->status == 0) {
        keep_addresses(lookup, info);
        freeaddrinfo(info);
        if (lookup->addresses.naddresses == 0)
            lookup->status = -ENOENT;
    }
    /* Once it is posted it may be gone, and refused, nobody waits for it. */
    struct coro_loop *loop = lookup->loop;
    if (coro_loop_post(loop, &lookup->post) < 0)
        free(lookup);
    coro_loop_unref(loop);
    return NULL;
}

static void on_done(struct coro_post *post, int status)
{
    struct lookup *lookup = list_entry(post, struct lookup, post);
    if (lookup->is_abandoned || status < 0)
        free(lookup);
    else
        coro_future_set(&lookup->done, 0, NULL);
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

static int lookup_start(const char *host, struct lookup **ret_lookup)
{
    size_t size = strlen(host) + 1;
    struct lookup *lookup = calloc(1, sizeof *lookup + size);
    if (!lookup)
        return -ENOMEM;
    memcpy(lookup->host, host, size);
    lookup->post.run = on_done;
    coro_future_init(&lookup->done);
    lookup->loop = coro_loop_ref(coro_loop_current());
    int status = start_thread(lookup);
    if (status < 0) {
        coro_loop_unref(lookup->loop);
        free(lookup);
        return status;
    }
    *ret_lookup = lookup;
    return 0;
}

static int ask(const char *host, int64_t deadline_ms,
               struct coro_addresses *ret_addresses)
{
    struct lookup *lookup;
    coro_ensure_task();
    if (deadline_ms <= coro_loop_now_ms(coro_loop_current()))
        return -ETIMEDOUT;
    int status = lookup_start(host, &lookup);
    if (status < 0)
        return status;
    status = coro_future_park(&lookup->done, deadline_ms, "a name's addresses");
    if (!coro_future_is_done(&lookup->done)) {
        lookup->is_abandoned = true;
        return status;
    }
    if (status == 0)
        status = lookup->status;
    if (status == 0)
        *ret_addresses = lookup->addresses;
    free(lookup);
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
