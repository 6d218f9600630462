/*
 * A child and its supervisor: what that says, and what is to be done when it is
 * gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "master/process/link.h"
#include "master/service_internal.h"
#include "worker/log.h"

/* How often it is shown that this thread's loop turns. */
#define TICK_MS 500

/* By then an orphan has ended, whatever keeps it. */
#define ORPHAN_END_US 2900000

/* --- the supervisor is gone ----------------------------------------------- */

/* Jobs that do not end by themselves are given back while there is time. What
 * is stuck beyond all that is ended by the kernel: SIGALRM is nobody's. */
static void become_orphan(struct service *service)
{
    static const struct itimerval end = {
        .it_value.tv_usec = ORPHAN_END_US % 1000000,
        .it_value.tv_sec = ORPHAN_END_US / 1000000};
    if (service->is_orphaned)
        return;
    service->is_orphaned = true;
    setitimer(ITIMER_REAL, &end, NULL);
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0,
             "the supervisor is gone: ending within 3 s");
    if (coro_future_is_done(&service->stop_asked))
        service_hurry(service);
    else
        service_ask_to_stop(service);
}

void service_link_check(struct service *service)
{
    if (service->shared && getppid() != shared_supervisor(service->shared))
        become_orphan(service);
}

/* --- what it says --------------------------------------------------------- */

/* On the heap: the task that does it may begin later, and goes on for as long
 * as Redis is away. The place may be another one's before it is through: when
 * too many have died the oldest dead make room. */
struct errand {
    struct service *service;
    struct link_message message;
    struct vitals *vitals; /* as they were when we were told */
};

static void errand_free(struct errand *errand)
{
    free(errand->vitals);
    free(errand);
}

/* host:pid:random. */
static bool is_whose(const struct vitals *vitals, pid_t pid)
{
    const char *colon = memchr(vitals->identity, ':', VITALS_IDENTITY_BYTES);
    return colon && strtol(colon + 1, NULL, 10) == pid;
}

/* NULL: there is no memory, or it is too late. */
static struct errand *errand_new(struct service *service,
                                 const struct link_message *message)
{
    size_t bytes = vitals_bytes(service->shared->nmarks);
    struct errand *errand = calloc(1, sizeof *errand);
    if (!errand)
        return NULL;
    *errand =
        (struct errand){service, *message, vitals_new(service->shared->nmarks)};
    if (errand->vitals) {
        memcpy(errand->vitals, shared_vitals(service->shared, message->place),
               bytes);
        errand->vitals->identity[VITALS_IDENTITY_BYTES - 1] = '\0';
        if (is_whose(errand->vitals, message->pid))
            return errand;
    }
    errand_free(errand);
    return NULL;
}

static void answer(const struct service *service, struct link_message message,
                   int status)
{
    message.status = status;
    message.kind = LINK_RECOVERED;
    link_send(service->link_fd, &message);
}

static int recover(void *argument)
{
    struct errand *errand = argument;
    struct service *service = errand->service;
    struct link_message message = errand->message;
    char identity[VITALS_IDENTITY_BYTES];
    memcpy(identity, errand->vitals->identity, sizeof identity);
    int status = service_recover(service, &message, errand->vitals);
    errand_free(errand);
    if (status == -ECANCELED)
        return 0;
    answer(service, message, status);
    return status < 0 ? 0 : service_recover_later(service, identity);
}

static void start_recovery(struct service *service,
                           const struct link_message *message)
{
    static const struct coro_spawn_options options = {.name = "recover",
                                                      .large_stack = true};
    struct errand *errand = errand_new(service, message);
    service_hold(service);
    int status =
        errand ? coro_group_spawn(&service->tasks, recover, errand, &options)
               : -ESRCH;
    if (status == 0)
        return;
    /* The lease will tell others. */
    service_let_go(service);
    if (errand)
        errand_free(errand);
    answer(service, *message, status);
}

static void obey(struct service *service, const struct link_message *message)
{
    switch ((enum link_kind)message->kind) {
    case LINK_STOP:
        service_ask_to_stop(service);
        break;
    case LINK_HURRY:
        service_hurry(service);
        break;
    case LINK_QUIET:
        service_go_quiet(service);
        break;
    case LINK_DUMP:
        service_dump(service);
        break;
    case LINK_RECOVER:
        if (message->place < shared_nplaces(service->shared))
            start_recovery(service, message);
        break;
    case LINK_READY:
    case LINK_RECOVERED:
        break;
    }
}

static int listen_to(void *argument)
{
    struct service *service = argument;
    struct link_message message;
    int status;
    while ((status = link_receive(service->link_fd, &message)) == 1)
        obey(service, &message);
    if (status != -ECANCELED)
        become_orphan(service);
    return 0;
}

static int tick(void *argument)
{
    struct service *service = argument;
    do
        atomic_store_explicit(&service->vitals->tick_ms, coro_now_ms(),
                              memory_order_relaxed);
    while (coro_sleep(TICK_MS) == 0);
    return 0;
}

/* --- from beginning to end ------------------------------------------------ */

int service_link_start(struct service *service)
{
    static const struct coro_spawn_options listener = {.name = "supervisor",
                                                       .large_stack = true};
    static const struct coro_spawn_options ticker = {.name = "tick"};
    if (!service->shared)
        return 0;
    service_link_check(service);
    int status =
        coro_group_spawn(&service->tasks, listen_to, service, &listener);
    if (status == 0)
        status = coro_group_spawn(&service->tasks, tick, service, &ticker);
    return status;
}

void service_link_ready(struct service *service)
{
    const struct link_message message = {.kind = LINK_READY};
    if (service->shared)
        link_send(service->link_fd, &message);
}

void service_link_stop(struct service *service)
{
    if (service->link_fd >= 0)
        close(service->link_fd);
    service->link_fd = -1;
}
