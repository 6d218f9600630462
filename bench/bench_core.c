/*
 * Switching, futures and queues, in nanoseconds of CPU time; the switches
 * beside other ways to do them.
 *
 * Everything runs inside one task of one loop, as it does in a program. Each
 * figure is the smallest of several rounds: noise only ever adds.
 */
#include <stdlib.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "bench/rival.h"
#include "coro/coro.h"

#define SWITCHES 4000000
#define ITEMS    2000000

static struct coro_loop *loop;

/* --- what it is compared with --------------------------------------------- */

static int add_one(int n)
{
    return n + 1;
}

static double indirect_call_ns(void *argument)
{
    (void)argument;
    int (*volatile function)(int) = add_one;
    int n = 0;
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < SWITCHES * 4; i++)
        n = function(n);
    measure_keep(n);
    return (double)(measure_thread_ns() - start_ns) / (SWITCHES * 4.0);
}

/* --- the bare switch ------------------------------------------------------ */

static struct coro_context bare_main, bare_other;

static int bare_yield(void)
{
    coro_context_switch(&bare_other, &bare_main);
    return 0;
}

MEASURE_FRAMES(bare_yield, bare_yield)

static void run_here(void)
{
    for (;;)
        coro_context_switch(&bare_other, &bare_main);
}

static void run_deep(void)
{
    for (;;)
        bare_yield_1();
}

/* Resume and yield: two switches, each where it is used, so that neither has a
 * return to be mispredicted. */
static double bare_pair_ns(void *entry)
{
    static char stack[65536] __attribute__((aligned(64)));
    const int npairs = SWITCHES / 2;
    coro_context_init(&bare_other, stack, stack + sizeof stack,
                      *(void (**)(void))entry);
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < npairs; i++)
        coro_context_switch(&bare_main, &bare_other);
    return (double)(measure_thread_ns() - start_ns) / npairs;
}

/* --- switching with a run queue ------------------------------------------- */

struct crowd {
    size_t ntasks; /* the measuring one included */
    int (*relax)(void);
    bool is_over;
};

MEASURE_FRAMES(relax, coro_relax)

static int relax_until_over(void *argument)
{
    struct crowd *crowd = argument;
    while (!crowd->is_over)
        crowd->relax();
    return 0;
}

static void spawn_into(struct coro_group *group, coro_task_fn *function,
                       void *argument)
{
    if (coro_group_spawn(group, function, argument, NULL) < 0)
        give_up("no memory for a coroutine");
}

/* Each time round the measuring task everybody has run once. */
static double switch_ns(void *argument)
{
    struct crowd *crowd = argument;
    struct coro_group group;
    coro_group_init(&group, loop);
    crowd->is_over = false;
    for (size_t i = 1; i < crowd->ntasks; i++)
        spawn_into(&group, relax_until_over, crowd);
    coro_relax();
    coro_relax();
    size_t nrounds = SWITCHES / crowd->ntasks;
    if (crowd->ntasks <= 10)
        nrounds /= 8; /* every turn has its system call */
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < nrounds; i++)
        crowd->relax();
    double ns = (double)(measure_thread_ns() - start_ns);
    crowd->is_over = true;
    coro_group_wait(&group, CORO_NEVER);
    return ns / (double)(nrounds * crowd->ntasks);
}

/* --- futures and queues --------------------------------------------------- */

struct rally {
    struct coro_future there;
    struct coro_future back;
    size_t nrounds;
};

static int answer(void *argument)
{
    struct rally *rally = argument;
    for (size_t i = 0; i < rally->nrounds; i++) {
        coro_future_wait(&rally->there, CORO_NEVER);
        coro_future_init(&rally->there);
        coro_future_set(&rally->back, 0, NULL);
    }
    return 0;
}

static int ask(void *argument)
{
    struct rally *rally = argument;
    for (size_t i = 0; i < rally->nrounds; i++) {
        coro_future_set(&rally->there, 0, NULL);
        coro_future_wait(&rally->back, CORO_NEVER);
        coro_future_init(&rally->back);
    }
    return 0;
}

/* There and back: two futures set and waited for. */
static double rally_ns(void *argument)
{
    size_t npairs = *(size_t *)argument;
    size_t nrounds = ITEMS / 2 / (npairs == 1 ? 8 : npairs);
    struct rally *rallies = calloc(npairs, sizeof *rallies);
    if (!rallies)
        give_up("no memory");
    struct coro_group group;
    coro_group_init(&group, loop);
    for (size_t i = 0; i < npairs; i++) {
        coro_future_init(&rallies[i].there);
        coro_future_init(&rallies[i].back);
        rallies[i].nrounds = nrounds;
        spawn_into(&group, answer, &rallies[i]);
        spawn_into(&group, ask, &rallies[i]);
    }
    int64_t start_ns = measure_thread_ns();
    coro_group_wait(&group, CORO_NEVER);
    double ns = (double)(measure_thread_ns() - start_ns);
    free(rallies);
    return ns / (double)(nrounds * npairs);
}

static int put_all(void *argument)
{
    for (int i = 0; i < ITEMS; i++)
        coro_queue_put(argument, argument, CORO_NEVER);
    return 0;
}

static double queue_ns(void *argument)
{
    struct coro_queue queue;
    if (coro_queue_init(&queue, *(size_t *)argument) < 0)
        give_up("no memory");
    struct coro_group group;
    coro_group_init(&group, loop);
    spawn_into(&group, put_all, &queue);
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < ITEMS; i++) {
        void *item;
        coro_queue_get(&queue, CORO_NEVER, &item);
    }
    double ns = (double)(measure_thread_ns() - start_ns);
    coro_group_wait(&group, CORO_NEVER);
    coro_queue_release(&queue);
    return ns / ITEMS;
}

/* --- the rows ------------------------------------------------------------- */

static void report_switches(void)
{
    static const struct {
        const char *key, *what;
        size_t ntasks;
        int (*relax)(void);
        double budget_ns;
    } rows[] = {
        {"switch_1", "a turn of the loop with one coroutine", 1, coro_relax, 0},
        {"switch_2", "switch, 2 coroutines", 2, coro_relax, 0},
        {"switch_10", "switch, 10 coroutines", 10, coro_relax, 0},
        {"switch_1000", "switch, 1,000 coroutines", 1000, coro_relax, 8},
        {"switch_1000_deep", "switch, 1,000, four frames down", 1000, relax_1,
         0},
        {"switch_100000", "switch, 100,000 coroutines", 100000, coro_relax, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        report_progress("%s", rows[i].what);
        struct crowd crowd = {rows[i].ntasks, rows[i].relax, false};
        bool is_deep = rows[i].relax != coro_relax;
        struct rival_match match = {
            .game = is_deep ? RIVAL_SWITCH_DEEP : RIVAL_SWITCH,
            .n = rows[i].ntasks > 1 ? rows[i].ntasks : 2,
            .nsteps = SWITCHES,
        };
        struct report_row row = {
            .key = rows[i].key,
            .what = rows[i].what,
            .unit = "ns",
            .budget_kind =
                rows[i].budget_ns > 0 ? REPORT_AT_MOST : REPORT_NO_BUDGET,
            .budget = rows[i].budget_ns,
        };
        rival_compare(&row, MEASURE_ROUNDS, switch_ns, &crowd, &match);
        report(&row);
    }
}

static void report_bare(void)
{
    static const struct {
        const char *key, *what;
        void (*entry)(void);
        enum rival_game game;
    } rows[] = {
        {"bare_pair", "bare resume + yield", run_here, RIVAL_PAIR},
        {"bare_pair_deep", "bare resume + yield, four frames down", run_deep,
         RIVAL_PAIR_DEEP},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void (*entry)(void) = rows[i].entry;
        struct rival_match match = {rows[i].game, 2, SWITCHES / 2};
        struct report_row row = {
            .key = rows[i].key,
            .what = rows[i].what,
            .unit = "ns",
        };
        rival_compare(&row, MEASURE_ROUNDS, bare_pair_ns, &entry, &match);
        report(&row);
    }
}

static void report_others(double call_ns)
{
    static const struct {
        const char *key, *what;
        double (*measure)(void *argument);
        size_t argument;
    } rows[] = {
        {"future_500", "future there and back, 500 pairs", rally_ns, 500},
        {"future_1", "future there and back, one pair", rally_ns, 1},
        {"queue_1000", "queue put + get, room for 1,000", queue_ns, 1000},
        {"queue_1", "queue put + get, room for 1", queue_ns, 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        report_progress("%s", rows[i].what);
        size_t argument = rows[i].argument;
        report(&(struct report_row){
            .key = rows[i].key,
            .what = rows[i].what,
            .unit = "ns",
            .value = measure_least(5, rows[i].measure, &argument),
            .beside = {{"indirect call", call_ns}},
        });
    }
}

static int measure_all(void *argument)
{
    (void)argument;
    loop = coro_loop_current();
    report_progress("calls and bare switches (%s)", coro_context_name());
    double call_ns = measure_least(MEASURE_ROUNDS, indirect_call_ns, NULL);
    report(&(struct report_row){.key = "indirect_call",
                                .what = "indirect function call",
                                .unit = "ns",
                                .value = call_ns});
    report_bare();
    report_switches();
    report_others(call_ns);
    return 0;
}

int main(void)
{
    return coro_run(measure_all, NULL, NULL) < 0;
}
