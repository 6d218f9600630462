/*
 * Producer and consumer, without a thread, a lock or a loop.
 *
 * In Python a function with `yield` in it is a generator: send(n) makes the
 * yield at which it stands return n, and itself returns what is yielded next.
 * Here coro_gen_send() and coro_yield() are those two halves:
 *
 *     n = yield r                          coro_yield(r, &n)
 *     r = c.send(n)                        coro_gen_send(c, n, &r)
 *     c.close()                            coro_gen_close(c)
 *     inspect.getgeneratorstate(c)         coro_gen_state(c)
 */
#include <stdio.h>

#include "coro/coro.h"

static int consumer(void *argument, void **ret_value)
{
    static char ok[] = "200 OK";
    (void)argument;
    (void)ret_value;
    char *reply = NULL;
    for (;;) {
        void *number;
        int status = coro_yield(reply, &number);
        if (status < 0)
            return status; /* closed: nobody will send any more */
        printf("[CONSUMER] Consuming %d...\n", *(int *)number);
        reply = ok;
    }
}

static void print_state(const struct coro_gen *gen)
{
    static const char *const names[] = {
        [CORO_GEN_CREATED] = "GEN_CREATED",
        [CORO_GEN_RUNNING] = "GEN_RUNNING",
        [CORO_GEN_SUSPENDED] = "GEN_SUSPENDED",
        [CORO_GEN_CLOSED] = "GEN_CLOSED",
    };
    puts(names[coro_gen_state(gen)]);
}

static void produce(struct coro_gen *gen)
{
    print_state(gen);
    coro_gen_next(gen, NULL); /* runs it up to its first yield */
    for (int n = 1; n <= 3; n++) {
        void *reply;
        printf("[PRODUCER] Producing %d...\n", n);
        if (coro_gen_send(gen, &n, &reply) <= 0)
            return;
        print_state(gen);
        printf("[PRODUCER] Consumer return: %s\n", (char *)reply);
    }
    print_state(gen);
    coro_gen_close(gen);
    print_state(gen);
}

int main(void)
{
    struct coro_gen *gen;
    if (coro_gen_new(consumer, NULL, NULL, &gen) < 0)
        return 1;
    produce(gen);
    coro_gen_free(gen);
    return 0;
}
