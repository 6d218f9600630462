/*
 * Backtraces, of what runs and of what is suspended, and their names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include <cmocka.h>

#include "coro/core/backtrace.h"
#include "coro/core/context.h"
#include "coro/core/sanitize.h"
#include "coro/core/symbol.h"

#define STACK_BYTES 65536
#define NFRAMES     32

struct flow {
    struct coro_context context;
    struct coro_sanitize notes;
};

static struct {
    struct flow home;
    struct flow other;
    char *stack;
    uintptr_t frames[NFRAMES];
    size_t nframes;
    uint64_t value;
} scene;

static __attribute__((noinline)) void go(struct flow *from, struct flow *to,
                                         bool ends)
{
    coro_sanitize_leave(&from->notes, &to->notes, ends);
    coro_context_switch(&from->context, &to->context);
    coro_sanitize_arrive(&from->notes, &scene.home.notes);
}

/* Frames that are there: none is inlined, none becomes a jump. */
#define KEEP __asm__ volatile("" : : : "memory")

static __attribute__((noinline)) void innermost(void)
{
    go(&scene.other, &scene.home, false);
    KEEP;
}

/* Keeps values in registers that the unwinder has to find on the way. */
static __attribute__((noinline)) uint64_t middle(uint64_t seed,
                                                 bool is_suspending)
{
    uint64_t a = seed * 3, b = seed ^ 5, c = seed + 7, d = ~seed, e = seed << 2;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
    if (is_suspending)
        innermost();
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
    return a ^ b ^ c ^ d ^ e;
}

/* Has a frame pointer, as its frame has no fixed size. */
static __attribute__((noinline)) uint64_t outermost(size_t n)
{
    char *place = __builtin_alloca(n);
    __asm__ volatile("" : "+r"(place) : : "memory");
    place[0] = 1;
    uint64_t value = middle(n, true);
    KEEP;
    return value + (uint64_t)place[0];
}

static void entry(void)
{
    coro_context_is_first();
    coro_sanitize_arrive(&scene.other.notes, &scene.home.notes);
    scene.value = outermost(100);
    scene.nframes = coro_backtrace(scene.frames, NFRAMES);
    go(&scene.other, &scene.home, true);
    abort();
}

static int begin(void **state)
{
    (void)state;
    scene.stack = aligned_alloc(64, STACK_BYTES);
    assert_non_null(scene.stack);
    coro_sanitize_begin_thread(&scene.home.notes);
    coro_sanitize_stack_add(scene.stack, scene.stack + STACK_BYTES);
    coro_sanitize_begin(&scene.other.notes, scene.stack, STACK_BYTES);
    coro_context_init(&scene.other.context, scene.stack,
                      scene.stack + STACK_BYTES, entry);
    return 0;
}

static int end(void **state)
{
    (void)state;
    coro_sanitize_end(&scene.other.notes);
    free(scene.stack);
    return 0;
}

static uintptr_t function_at(uintptr_t address)
{
    return (uintptr_t)_Unwind_FindEnclosingFunction((void *)address);
}

/* Where @function is among the frames; past the end: nowhere. */
static size_t find(uintptr_t function)
{
    size_t i = 0;
    while (i < scene.nframes && function_at(scene.frames[i]) != function)
        i++;
    return i;
}

static uintptr_t address_of(void (*function)(void))
{
    return (uintptr_t)function;
}

/* --- where the functions are --------------------------------------------- */

static void a_suspended_flow_shows_its_calls_from_the_innermost_on(void **state)
{
    (void)state;
    go(&scene.home, &scene.other, false);
    scene.nframes =
        coro_backtrace_of(&scene.other.context, scene.frames, NFRAMES);
    size_t at = find(address_of(innermost));
    /* Before it are only those of the switch itself. */
    assert_in_range(at, 0, 2);
    assert_true(at + 3 < scene.nframes);
    assert_int_equal(function_at(scene.frames[at + 1]), (uintptr_t)middle);
    assert_int_equal(function_at(scene.frames[at + 2]), (uintptr_t)outermost);
    assert_int_equal(function_at(scene.frames[at + 3]), address_of(entry));
}

static void it_ends_at_the_entry_function(void **state)
{
    (void)state;
    go(&scene.home, &scene.other, false);
    scene.nframes =
        coro_backtrace_of(&scene.other.context, scene.frames, NFRAMES);
    assert_int_equal(find(address_of(entry)), scene.nframes - 1);
}

static void a_running_flow_s_ends_there_too(void **state)
{
    (void)state;
    go(&scene.home, &scene.other, false);
    go(&scene.home, &scene.other, false);
    assert_int_equal(scene.nframes, 1);
    assert_int_equal(find(address_of(entry)), 0);
}

static void one_that_has_not_begun_shows_its_entry_function(void **state)
{
    (void)state;
    scene.nframes =
        coro_backtrace_of(&scene.other.context, scene.frames, NFRAMES);
    assert_in_range(scene.nframes, 1, 2);
    assert_int_equal(scene.frames[0], address_of(entry));
}

static void looking_does_not_disturb_it(void **state)
{
    (void)state;
    go(&scene.home, &scene.other, false);
    for (int i = 0; i < 100; i++)
        coro_backtrace_of(&scene.other.context, scene.frames, NFRAMES);
    scene.nframes = 0;
    go(&scene.home, &scene.other, false);
    assert_true(scene.nframes > 0);
    assert_true(scene.value == middle(100, false) + 1);
}

static void no_more_frames_are_noted_than_there_is_room_for(void **state)
{
    (void)state;
    go(&scene.home, &scene.other, false);
    scene.frames[2] = 1;
    assert_int_equal(coro_backtrace_of(&scene.other.context, scene.frames, 2),
                     2);
    assert_int_equal(coro_backtrace_of(&scene.other.context, scene.frames, 0),
                     0);
    assert_int_equal(scene.frames[2], 1);
}

/* --- what they are called ------------------------------------------------ */

static void functions_have_names_static_ones_included(void **state)
{
    (void)state;
    struct coro_symbols symbols;
    uintptr_t offset = 1;
    coro_symbols_open(&symbols);
    const char *name =
        coro_symbols_name(&symbols, address_of(innermost), &offset);
    assert_non_null(name);
    assert_string_equal(name, "innermost");
    assert_int_equal(offset, 0);
    name = coro_symbols_name(&symbols, (uintptr_t)outermost + 4, &offset);
    assert_string_equal(name, "outermost");
    assert_int_equal(offset, 4);
    coro_symbols_close(&symbols);
}

static void functions_of_shared_libraries_have_names(void **state)
{
    (void)state;
    struct coro_symbols symbols;
    char text[100];
    coro_symbols_open(&symbols);
    coro_symbols_describe(&symbols, (uintptr_t)_cmocka_run_group_tests + 1,
                          text, sizeof text);
    coro_symbols_close(&symbols);
    assert_string_equal(text, "_cmocka_run_group_tests+0x1");
}

static void what_is_no_function_is_a_number(void **state)
{
    (void)state;
    struct coro_symbols symbols;
    char text[100];
    coro_symbols_open(&symbols);
    coro_symbols_describe(&symbols, 0x10, text, sizeof text);
    assert_string_equal(text, "0x10");
    assert_null(coro_symbols_name(&symbols, 0x10, NULL));
    coro_symbols_close(&symbols);
}

static void without_a_table_an_address_is_shown_by_its_file(void **state)
{
    (void)state;
    struct coro_symbols none = {0};
    char text[100];
    coro_symbols_describe(&none, address_of(innermost), text, sizeof text);
    assert_non_null(strstr(text, "test_backtrace+0x"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_suspended_flow_shows_its_calls_from_the_innermost_on),
        TEST(it_ends_at_the_entry_function),
        TEST(a_running_flow_s_ends_there_too),
        TEST(one_that_has_not_begun_shows_its_entry_function),
        TEST(looking_does_not_disturb_it),
        TEST(no_more_frames_are_noted_than_there_is_room_for),
        TEST(functions_have_names_static_ones_included),
        TEST(functions_of_shared_libraries_have_names),
        TEST(what_is_no_function_is_a_number),
        TEST(without_a_table_an_address_is_shown_by_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
