/*
 * Generators, in nanoseconds of CPU time for one value: into the generator and
 * back. Beside them boost::context, whose switch has a C interface, where its
 * library is installed.
 *
 * Each figure is the smallest of several rounds: noise only ever adds.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "coro/coro.h"

#define VALUES      4000000
#define GENERATIONS 500000
#define STACK_BYTES 65536

/* --- bodies -------------------------------------------------------------- */

/* Four real frames: none of them may be inlined or become a jump. */
#define FRAME(name, below)                                    \
    static __attribute__((noinline)) int name(void *argument) \
    {                                                         \
        int status = below(argument);                         \
        measure_keep(status);                                 \
        return status < 0 ? status : status + 1;              \
    }

static int yield_one(void *argument)
{
    return coro_yield(argument, NULL);
}

FRAME(frame_4, yield_one)
FRAME(frame_3, frame_4)
FRAME(frame_2, frame_3)
FRAME(frame_1, frame_2)

static int yield_hot(void *argument, void **ret_value)
{
    int status;
    (void)ret_value;
    do
        status = coro_yield(argument, NULL);
    while (status >= 0);
    return status;
}

static int yield_deep(void *argument, void **ret_value)
{
    int status;
    (void)ret_value;
    do
        status = frame_1(argument);
    while (status >= 0);
    return status;
}

static struct coro_gen *make(coro_gen_fn *function)
{
    static int value;
    struct coro_gen *gen;
    if (coro_gen_new(function, &value, NULL, &gen) < 0)
        give_up("no memory for a generator");
    return gen;
}

static double value_ns(void *argument)
{
    struct coro_gen *gen = make(*(coro_gen_fn **)argument);
    void *value;
    coro_gen_next(gen, &value);
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < VALUES; i++)
        coro_gen_next(gen, &value);
    double ns = (double)(measure_thread_ns() - start_ns) / VALUES;
    coro_gen_free(gen);
    return ns;
}

static double life_ns(void *argument)
{
    void *value;
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < GENERATIONS; i++) {
        struct coro_gen *gen = make(*(coro_gen_fn **)argument);
        coro_gen_next(gen, &value);
        coro_gen_free(gen);
    }
    return (double)(measure_thread_ns() - start_ns) / GENERATIONS;
}

/* --- boost::context ------------------------------------------------------ */

struct transfer {
    void *context;
    void *data;
};

static struct {
    struct transfer (*jump)(void *to, void *data);
    void *(*make)(void *top, size_t size_bytes,
                  void (*entry)(struct transfer from));
    void *resumer;
} boost;

static int jump_back(void *argument)
{
    boost.resumer = boost.jump(boost.resumer, argument).context;
    return 0;
}

FRAME(boost_frame_4, jump_back)
FRAME(boost_frame_3, boost_frame_4)
FRAME(boost_frame_2, boost_frame_3)
FRAME(boost_frame_1, boost_frame_2)

static void boost_hot(struct transfer from)
{
    for (;;)
        from = boost.jump(from.context, from.data);
}

static void boost_deep(struct transfer from)
{
    boost.resumer = from.context;
    for (;;)
        boost_frame_1(from.data);
}

static double boost_ns(void *argument)
{
    char *stack = aligned_alloc(64, STACK_BYTES);
    if (!stack)
        give_up("no memory");
    void *context = boost.make(stack + STACK_BYTES, STACK_BYTES,
                               *(void (**)(struct transfer))argument);
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < VALUES; i++)
        context = boost.jump(context, NULL).context;
    double ns = (double)(measure_thread_ns() - start_ns) / VALUES;
    free(stack);
    return ns;
}

/* dlsym() has no type for functions. */
static void find(void *library, const char *name, void *ret_function)
{
    *(void **)ret_function = dlsym(library, name);
}

static bool open_boost(void)
{
    static const char *const names[] = {
        "libboost_context.so",
        "libboost_context.so.1.74.0",
        "libboost_context.so.1.83.0",
        "libboost_context.so.1.88.0",
    };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    find(library, "jump_fcontext", &boost.jump);
    find(library, "make_fcontext", &boost.make);
    return boost.jump && boost.make;
}

/* --- the rows ------------------------------------------------------------- */

static const struct {
    const char *key, *what;
    coro_gen_fn *body;
    void (*boost)(struct transfer from);
} rows[] = {
    {"value", "a value from a generator", yield_hot, boost_hot},
    {"value_deep", "the same, yielded four frames down", yield_deep,
     boost_deep},
};

static int measure_all(void *where)
{
    bool has_boost = boost.jump != NULL;
    const char *place = where ? where : "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        coro_gen_fn *body = rows[i].body;
        void (*entry)(struct transfer) = rows[i].boost;
        char key[60], what[100];
        snprintf(key, sizeof key, "generator_%s%s", rows[i].key,
                 where ? "_task" : "");
        snprintf(what, sizeof what, "%s%s", rows[i].what, place);
        report_progress("%s", what);
        double ns = measure_least(MEASURE_ROUNDS, value_ns, &body);
        double other_ns =
            has_boost ? measure_least(MEASURE_ROUNDS, boost_ns, &entry) : 0;
        report(&(struct report_row){
            .key = key,
            .what = what,
            .unit = "ns",
            .value = ns,
            .baseline = has_boost ? "boost context" : NULL,
            .baseline_value = other_ns,
        });
    }
    return 0;
}

int main(void)
{
    static char in_task[] = ", in a task";
    coro_gen_fn *body = yield_hot;
    if (!open_boost())
        report_progress("boost::context is not installed: left out");
    measure_all(NULL);
    report(&(struct report_row){
        .key = "generator_life",
        .what = "make a generator, take a value, close and free it",
        .unit = "ns",
        .value = measure_least(MEASURE_ROUNDS, life_ns, &body),
    });
    return coro_run(measure_all, in_task, NULL) < 0;
}
