#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "coro/core/context.h"
#include "coro/core/sanitize.h"
#include "tests/support/scale.h"

#define STACK_BYTES  32768
#define MIX_ROUNDS   200
#define MANY         10000
#define MANY_REDUCED 2000
#define MANY_ROUNDS  3

/* A flow of control and the checkers' notes about it. */
struct flow {
    struct coro_context context;
    struct coro_sanitize notes;
    char *stack;
};

struct mixture {
    uint64_t whole;
    double fraction;
};

struct first_frame {
    uintptr_t misaligned_by;
    char text[32];
    double sum;
};

/*
 * An entry function takes no argument, so what it works with lies here. All in
 * one object: a switch has to be told the address of a part of it, and so the
 * compiler knows that any of it may change meanwhile. Of a static variable on
 * its own it may find out that nobody else can, and keep it in a register.
 */
static struct {
    struct flow home;
    struct flow *self;
    char trace[32];
    struct mixture mixture;
    struct first_frame first_frame;
    struct flow *many;
    size_t nsteps;
    size_t nout_of_turn;
} scene;

static inline __attribute__((always_inline)) void go(struct flow *from,
                                                     struct flow *to,
                                                     bool from_ends)
{
    coro_sanitize_leave(&from->notes, &to->notes, from_ends);
    coro_context_switch(&from->context, &to->context);
    coro_sanitize_arrive(&from->notes, &scene.home.notes);
}

static __attribute__((noinline)) void go_home(struct flow *from, bool ends)
{
    go(from, &scene.home, ends);
}

static __attribute__((noinline)) void go_to(struct flow *to)
{
    scene.self = to;
    go(&scene.home, to, false);
}

/* What each entry function begins with. */
static struct flow *arrive(void)
{
    struct flow *self = scene.self;
    coro_sanitize_arrive(&self->notes, &scene.home.notes);
    return self;
}

static _Noreturn void end(struct flow *self)
{
    coro_sanitize_leave(&self->notes, &scene.home.notes, true);
    coro_context_leave(&self->context, &scene.home.context);
}

static void flow_init(struct flow *flow, void (*entry)(void))
{
    coro_sanitize_stack_add(flow->stack, flow->stack + STACK_BYTES);
    coro_sanitize_begin(&flow->notes, flow->stack, STACK_BYTES);
    coro_context_init(&flow->context, flow->stack, flow->stack + STACK_BYTES,
                      entry);
}

static void flow_new(struct flow *flow, void (*entry)(void))
{
    flow->stack = aligned_alloc(64, STACK_BYTES);
    assert_non_null(flow->stack);
    flow_init(flow, entry);
}

static void flow_free(struct flow *flow)
{
    coro_sanitize_end(&flow->notes);
    free(flow->stack);
}

static int begin_thread(void **state)
{
    (void)state;
    coro_sanitize_begin_thread(&scene.home.notes);
    return 0;
}

/* --- back and forth ------------------------------------------------------ */

static void write_trace(void)
{
    struct flow *self = arrive();
    strcat(scene.trace, "a");
    go_home(self, false);
    strcat(scene.trace, "b");
    go_home(self, false);
    strcat(scene.trace, "c");
    end(self);
}

static void control_goes_back_and_forth(void **state)
{
    (void)state;
    struct flow flow;
    scene.trace[0] = '\0';
    flow_new(&flow, write_trace);
    for (int i = 0; i < 3; i++) {
        strcat(scene.trace, "-");
        go_to(&flow);
    }
    flow_free(&flow);
    assert_string_equal(scene.trace, "-a-b-c");
}

static void the_way_of_switching_has_a_name(void **state)
{
    (void)state;
    assert_true(strlen(coro_context_name()) > 0);
}

/* --- registers ----------------------------------------------------------- */

/* Keeps more values alive than there are registers, and lets another flow of
 * control run in between: @from goes to @to, if there is one, in each round. */
static __attribute__((noinline)) struct mixture mix(uint64_t seed,
                                                    struct flow *from,
                                                    struct flow *to)
{
    uint64_t a = seed, b = seed + 1, c = seed ^ 2, d = seed * 3, e = ~seed;
    uint64_t f = seed << 5, g = seed + 6, h = seed ^ 7, i = seed * 9;
    double p = (double)(seed % 97), q = p + 0.25, r = p * 0.5,
           s = 1.0 / (1 + p);
    double t = p - 3.5, u = p * p, v = q * r, w = s + t;
    for (int round = 0; round < MIX_ROUNDS; round++) {
        if (to)
            go(from, to, false);
        a += b * 3, b ^= c + 1, c += d >> 3, d ^= e << 1, e += f * 5;
        f ^= g + h, g += h * 7, h ^= i >> 2, i += a ^ d;
        p = q * 0.5 + 1, q = r - s, r = s * 0.25 + t, s = t * 0.125 - u;
        t = u * 0.5 + v, u = v * 0.25 - w, v = w * 0.5 + p, w = p - q * 0.5;
    }
    return (struct mixture){
        .whole = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i,
        .fraction = p + q + r + s + t + u + v + w,
    };
}

static void mix_in_entry(void)
{
    struct flow *self = arrive();
    scene.mixture = mix(77, self, &scene.home);
    end(self);
}

static void live_values_survive_each_switch(void **state)
{
    (void)state;
    struct mixture alone_here = mix(1234567, NULL, NULL);
    struct mixture alone_there = mix(77, NULL, NULL);
    struct flow flow;
    flow_new(&flow, mix_in_entry);
    scene.self = &flow;
    struct mixture mixed_here = mix(1234567, &scene.home, &flow);
    go_to(&flow);
    flow_free(&flow);
    assert_true(alone_here.fraction - alone_here.fraction == 0);
    assert_true(alone_here.whole == mixed_here.whole);
    assert_memory_equal(&alone_here.fraction, &mixed_here.fraction,
                        sizeof(double));
    assert_true(alone_there.whole == scene.mixture.whole);
    assert_memory_equal(&alone_there.fraction, &scene.mixture.fraction,
                        sizeof(double));
}

/* --- the first frame ----------------------------------------------------- */

static __attribute__((noinline)) double add_up(int n, ...)
{
    va_list values;
    va_start(values, n);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += va_arg(values, double);
    va_end(values);
    return sum;
}

/* Aligned by the compiler's belief that the stack is. */
static __attribute__((noinline)) uintptr_t misalignment(void)
{
    _Alignas(16) char place[16];
    char *escaped = place;
    __asm__ volatile("" : "+r"(escaped) : : "memory");
    return (uintptr_t)escaped & 15;
}

static void look_at_first_frame(void)
{
    struct flow *self = arrive();
    scene.first_frame.misaligned_by = misalignment();
    scene.first_frame.sum = add_up(4, 1.5, 2.25, 3.0, 0.25);
    snprintf(scene.first_frame.text, sizeof scene.first_frame.text,
             "%.2f %.3Lf", 2.5, (long double)0.125);
    end(self);
}

static void an_entry_function_finds_an_aligned_stack(void **state)
{
    (void)state;
    struct flow flow;
    flow_new(&flow, look_at_first_frame);
    go_to(&flow);
    flow_free(&flow);
    assert_int_equal(scene.first_frame.misaligned_by, 0);
    assert_true(scene.first_frame.sum == 7.0);
    assert_string_equal(scene.first_frame.text, "2.50 0.125");
}

/* --- many ---------------------------------------------------------------- */

static void take_turns(void)
{
    struct flow *self = arrive();
    size_t index = (size_t)(self - scene.many);
    size_t nflows = test_scale(MANY, MANY_REDUCED);
    for (size_t round = 0; round < MANY_ROUNDS; round++) {
        scene.nout_of_turn += scene.nsteps != round * nflows + index;
        scene.nsteps++;
        go_home(self, round == MANY_ROUNDS - 1);
    }
    abort();
}

static void ten_thousand_contexts_take_turns(void **state)
{
    (void)state;
    size_t nflows = test_scale(MANY, MANY_REDUCED);
    scene.many = calloc(nflows, sizeof *scene.many);
    assert_non_null(scene.many);
    char *stacks = mmap(NULL, nflows * STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(stacks != MAP_FAILED);
    madvise(stacks, nflows * STACK_BYTES, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < nflows; i++) {
        scene.many[i].stack = stacks + i * STACK_BYTES;
        flow_init(&scene.many[i], take_turns);
    }
    for (size_t i = 0; i < MANY_ROUNDS * nflows; i++)
        go_to(&scene.many[i % nflows]);
    for (size_t i = 0; i < nflows; i++)
        coro_sanitize_end(&scene.many[i].notes);
    munmap(stacks, nflows * STACK_BYTES);
    free(scene.many);
    assert_int_equal(scene.nsteps, MANY_ROUNDS * nflows);
    assert_int_equal(scene.nout_of_turn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_goes_back_and_forth),
        cmocka_unit_test(the_way_of_switching_has_a_name),
        cmocka_unit_test(live_values_survive_each_switch),
        cmocka_unit_test(an_entry_function_finds_an_aligned_stack),
        cmocka_unit_test(ten_thousand_contexts_take_turns),
    };
    return cmocka_run_group_tests(tests, begin_thread, NULL);
}
