#include "bench/rival.h"

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "bench/boost.h"
#include "bench/measure.h"
#include "coro/core/stack.h"

/* Where a rival's flow of control stands while it does not run. Lies at the top
 * of its stack, as ours does. */
struct flow {
    struct flow *next; /* in the run queue */
    void *context;     /* boost's, or a ucontext_t below this */
    struct coro_stack stack;
};

typedef void switch_fn(struct flow *from, struct flow *to);

static struct coro_stack_pool pool;
static boost_jump_fn *boost_jump;
static boost_make_fn *boost_make_context;
static struct flow outside; /* the one that measures */
static struct flow *running;
static struct flow *first;
static struct flow *last;
static struct flow *dead; /* left its stack for ever; to be freed */

/* --- a scheduler at its smallest ------------------------------------------ */

#define INLINE static inline __attribute__((always_inline))

INLINE void push(struct flow *flow)
{
    flow->next = NULL;
    if (first)
        last->next = flow;
    else
        first = flow;
    last = flow;
}

INLINE void hand_over(switch_fn *switch_to, struct flow *self)
{
    struct flow *next = first;
    first = next->next;
    running = next;
    switch_to(self, next);
}

INLINE void bury(void)
{
    if (!dead)
        return;
    coro_stack_give(&pool, dead->stack);
    dead = NULL;
}

INLINE void relax(switch_fn *switch_to)
{
    struct flow *self = running;
    push(self);
    hand_over(switch_to, self);
    bury();
}

INLINE void leave(switch_fn *switch_to)
{
    dead = running;
    hand_over(switch_to, dead);
}

/* --- boost context -------------------------------------------------------- */

INLINE void boost_arrive(struct boost_transfer from)
{
    ((struct flow *)from.data)->context = from.context;
}

INLINE void boost_switch(struct flow *from, struct flow *to)
{
    boost_arrive(boost_jump(to->context, from));
}

static int boost_relax(void)
{
    relax(boost_switch);
    return 0;
}

MEASURE_FRAMES(boost_relax, boost_relax)

#define BOOST_ENTRY(name, step)                  \
    static void name(struct boost_transfer from) \
    {                                            \
        boost_arrive(from);                      \
        bury();                                  \
        for (;;)                                 \
            step;                                \
    }

BOOST_ENTRY(boost_ring, boost_relax())
BOOST_ENTRY(boost_ring_deep, boost_relax_1())
BOOST_ENTRY(boost_life, leave(boost_switch))

/* A pair needs no control blocks: each side holds the other's context. */
static void *boost_resumer;

static int boost_back(void)
{
    boost_resumer = boost_jump(boost_resumer, NULL).context;
    return 0;
}

MEASURE_FRAMES(boost_back, boost_back)

static void boost_pair(struct boost_transfer from)
{
    for (;;)
        from = boost_jump(from.context, NULL);
}

static void boost_pair_deep(struct boost_transfer from)
{
    boost_resumer = from.context;
    for (;;)
        boost_back_1();
}

typedef void boost_fn(struct boost_transfer from);

static boost_fn *const boost_entries[RIVAL_GAMES] = {
    boost_pair, boost_pair_deep, boost_ring, boost_ring_deep, boost_life,
};

INLINE void boost_make(struct flow *flow, enum rival_game game)
{
    char *bottom = flow->stack.bottom;
    flow->context = boost_make_context(flow, (size_t)((char *)flow - bottom),
                                       boost_entries[game]);
}

/* --- swapcontext ---------------------------------------------------------- */

INLINE void swap_switch(struct flow *from, struct flow *to)
{
    swapcontext(from->context, to->context);
}

static int swap_back(void)
{
    swap_switch(running, &outside);
    return 0;
}

static int swap_relax(void)
{
    relax(swap_switch);
    return 0;
}

MEASURE_FRAMES(swap_back, swap_back)
MEASURE_FRAMES(swap_relax, swap_relax)

#define SWAP_ENTRY(name, step) \
    static void name(void)     \
    {                          \
        bury();                \
        for (;;)               \
            step;              \
    }

SWAP_ENTRY(swap_pair, swap_back())
SWAP_ENTRY(swap_pair_deep, swap_back_1())
SWAP_ENTRY(swap_ring, swap_relax())
SWAP_ENTRY(swap_ring_deep, swap_relax_1())
SWAP_ENTRY(swap_life, leave(swap_switch))

typedef void swap_fn(void);

static swap_fn *const swap_entries[RIVAL_GAMES] = {
    swap_pair, swap_pair_deep, swap_ring, swap_ring_deep, swap_life,
};

/* getcontext() returns twice, so this can't be inlined. */
static void swap_make(struct flow *flow, enum rival_game game)
{
    uintptr_t at = (uintptr_t)flow - sizeof(ucontext_t);
    ucontext_t *context = (void *)(at & ~(uintptr_t)63);
    char *bottom = flow->stack.bottom;
    getcontext(context);
    context->uc_stack.ss_sp = bottom;
    context->uc_stack.ss_size = (size_t)((char *)context - bottom);
    makecontext(context, swap_entries[game], 0);
    flow->context = context;
}

/* --- the games ------------------------------------------------------------ */

typedef void make_fn(struct flow *flow, enum rival_game game);

INLINE struct flow *spawn(make_fn *make, enum rival_game game)
{
    struct coro_stack stack;
    if (coro_stack_take(&pool, &stack) < 0)
        give_up("no memory for a context");
    struct flow *flow = (void *)(stack.top - 64);
    flow->stack = stack;
    make(flow, game);
    return flow;
}

static double boost_play_pair(struct flow *flow, size_t nsteps)
{
    void *context = flow->context;
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < nsteps; i++)
        context = boost_jump(context, NULL).context;
    double ns = (double)(measure_thread_ns() - start_ns);
    coro_stack_give(&pool, flow->stack);
    return ns / (double)nsteps;
}

static double swap_play_pair(struct flow *flow, size_t nsteps)
{
    running = flow;
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < nsteps; i++)
        swap_switch(&outside, flow);
    double ns = (double)(measure_thread_ns() - start_ns);
    coro_stack_give(&pool, flow->stack);
    return ns / (double)nsteps;
}

INLINE double play_ring(make_fn *make, switch_fn *switch_to,
                        const struct rival_match *match)
{
    size_t nrounds = match->nsteps / match->n + 1;
    for (size_t i = 1; i < match->n; i++)
        push(spawn(make, match->game));
    relax(switch_to);
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < nrounds; i++)
        relax(switch_to);
    double ns = (double)(measure_thread_ns() - start_ns);
    /* The others are dropped where they stand: they hold nothing. */
    for (struct flow *next; first; first = next) {
        next = first->next;
        coro_stack_give(&pool, first->stack);
    }
    return ns / (double)(nrounds * match->n);
}

INLINE double play_life(make_fn *make, switch_fn *switch_to,
                        const struct rival_match *match)
{
    size_t nrounds = match->nsteps / match->n + 1;
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < nrounds; i++) {
        for (size_t j = 0; j < match->n; j++)
            push(spawn(make, match->game));
        relax(switch_to);
    }
    return (double)(measure_thread_ns() - start_ns) /
           (double)(nrounds * match->n);
}

INLINE double play_queue(make_fn *make, switch_fn *switch_to,
                         const struct rival_match *match)
{
    running = &outside;
    return match->game == RIVAL_LIFE ? play_life(make, switch_to, match)
                                     : play_ring(make, switch_to, match);
}

static bool is_pair(const struct rival_match *match)
{
    return match->game == RIVAL_PAIR || match->game == RIVAL_PAIR_DEEP;
}

/* Each goes straight back, and is not heard of again. */
INLINE void hold(make_fn *make, switch_fn *switch_to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct flow *flow = spawn(make, RIVAL_SWITCH);
        running = flow;
        push(&outside);
        switch_to(&outside, flow);
        first = NULL;
    }
}

static double boost_play(const struct rival_match *match)
{
    if (is_pair(match))
        return boost_play_pair(spawn(boost_make, match->game), match->nsteps);
    return play_queue(boost_make, boost_switch, match);
}

static void boost_hold(size_t n)
{
    hold(boost_make, boost_switch, n);
}

static void swap_begin(void)
{
    static ucontext_t context;
    outside.context = &context;
}

static double swap_play(const struct rival_match *match)
{
    swap_begin();
    if (is_pair(match))
        return swap_play_pair(spawn(swap_make, match->game), match->nsteps);
    return play_queue(swap_make, swap_switch, match);
}

static void swap_hold(size_t n)
{
    swap_begin();
    hold(swap_make, swap_switch, n);
}

/* --- the rivals ----------------------------------------------------------- */

struct rival {
    const char *name;
    double (*play)(const struct rival_match *match);
    void (*hold)(size_t n);
    size_t slowness; /* so many times fewer steps are enough */
};

static const struct rival known[] = {
    {"swapcontext", swap_play, swap_hold, 10},
    {"boost context", boost_play, boost_hold, 1},
};

#define NKNOWN (sizeof known / sizeof *known)

/* How many of those are there. */
static size_t nrivals;

static void find_rivals(void)
{
    if (nrivals > 0)
        return;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    nrivals = NKNOWN;
    if (!boost_open(&boost_jump, &boost_make_context)) {
        report_progress("the library of boost context is not installed: "
                        "nothing is compared with it");
        nrivals--;
    }
}

const char *rival_name(size_t index)
{
    find_rivals();
    return index < nrivals ? known[index].name : NULL;
}

void rival_hold(size_t index, size_t n)
{
    known[index].hold(n);
}

double rival_play(size_t index, const struct rival_match *match)
{
    struct rival_match shorter = *match;
    shorter.nsteps /= known[index].slowness;
    return known[index].play(&shorter);
}

static void keep_least(double *least, double value)
{
    if (*least == 0 || value < *least)
        *least = value;
}

void rival_compare(struct report_row *row, int rounds,
                   double (*ours)(void *argument), void *argument,
                   const struct rival_match *match)
{
    for (int round = 0; round < rounds; round++) {
        keep_least(&row->value, ours(argument));
        for (size_t i = 0; rival_name(i); i++) {
            row->beside[i].name = rival_name(i);
            keep_least(&row->beside[i].value, rival_play(i, match));
        }
    }
}
